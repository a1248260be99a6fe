#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands.h"
#include "process.h"
#include "version.h"

namespace millrace::apps {

namespace {

std::string first_lines(const Process& process, const AppConfig& config, std::string_view does) {
  std::string text = fmt::format("Millrace {} {}", version, does);
  if (!process.api_url().empty()) text += " on " + process.api_url();
  text += fmt::format("\nMetrics: {}/metrics\n", process.admin_url());
  if (config.journal_kind == JournalKind::kafka) {
    text += fmt::format("Journal: topic {} of Kafka at {}\n", config.kafka.topic,
                        fmt::join(config.kafka.brokers, ", "));
  }
  return text;
}

std::string data_line(const AppConfig& config) {
  return fmt::format("Data:    {}\n", std::filesystem::absolute(config.data_directory).string());
}

std::string curl_line(const Process& process) {
  return fmt::format(
      "Send a batch:\n"
      "  curl -X POST {}/logs -H 'Content-Type: application/json' \\\n"
      "    -d '[{{\"timestamp\": \"2026-01-02T03:04:05Z\", \"path\": \"/hello\", \"userAgent\": "
      "\"curl\"}}]'\n",
      process.api_url());
}

std::string serve_welcome(const Process& process, const AppConfig& config) {
  const std::string page =
      config.query_enabled ? fmt::format("Look at it in a browser: {}/\n", process.api_url()) : "";
  return first_lines(process, config, "listens") + data_line(config) + "\n" + curl_line(process) +
         page +
         fmt::format(
             "Query it a few seconds later:\n"
             "  millrace query --data {} \"SELECT path, count(*) AS n FROM access_logs GROUP BY "
             "path ORDER BY n DESC LIMIT 10\"\n",
             config.data_directory);
}

std::string ingest_welcome(const Process& process, const AppConfig& config) {
  return first_lines(process, config, "takes batches") + "\n" + curl_line(process);
}

std::string query_welcome(const Process& process, const AppConfig& config) {
  return first_lines(process, config, "answers questions") +
         fmt::format("Tables:  {}\nLook at them in a browser: {}/\n", config.lake_location().url,
                     process.api_url());
}

std::string write_welcome(const Process& process, const AppConfig& config) {
  return first_lines(process, config, "writes tables") + data_line(config);
}

std::shared_ptr<ConfigArguments> add_options(CLI::App& command) {
  auto arguments = std::make_shared<ConfigArguments>();
  command.add_option("--config", arguments->file, "YAML file (see `millrace config print`)");
  command.add_option("--admin", arguments->admin_listen,
                     "HOST:PORT of /metrics (default: 127.0.0.1:8081)");
  return arguments;
}

void add_data_option(CLI::App& command, ConfigArguments& arguments) {
  command.add_option("--data", arguments.data_directory, "The data folder (default: data)");
}

void add_listen_option(CLI::App& command, ConfigArguments& arguments) {
  command.add_option("--listen", arguments.listen,
                     "HOST:PORT of the API (default: 127.0.0.1:8080)");
}

}  // namespace

int serve_queries(const ConfigArguments& arguments) {
  return run_process(arguments, {.queries = true}, query_welcome);
}

void add_serve_command(CLI::App& program, int& exit_code) {
  auto* command =
      program.add_subcommand("serve", "Run all of Millrace in one process and one folder");
  auto arguments = add_options(*command);
  add_data_option(*command, *arguments);
  add_listen_option(*command, *arguments);
  command->footer(
      "SIGTERM and Ctrl-C stop it: requests under way are answered, and all that was\n"
      "acknowledged is written to the table before it exits 0.");
  command->callback([arguments, &exit_code] {
    exit_code = run_process(
        *arguments,
        {.ingests = true, .writes = true, .aggregates = true, .maintains = true, .queries = true},
        serve_welcome);
  });
}

void add_ingest_command(CLI::App& program, int& exit_code) {
  auto* command = program.add_subcommand("ingest", "Take batches over HTTP into Kafka");
  auto arguments = add_options(*command);
  add_listen_option(*command, *arguments);
  command->footer("Wants journal.kind: kafka. Any number of them can run behind a load balancer.");
  command->callback([arguments, &exit_code] {
    exit_code = run_process(*arguments, {.ingests = true}, ingest_welcome);
  });
}

void add_write_command(CLI::App& program, int& exit_code) {
  auto* command = program.add_subcommand("write", "Write what is in Kafka to the tables");
  auto arguments = add_options(*command);
  add_data_option(*command, *arguments);
  command->footer(
      "Wants journal.kind: kafka. As many as the topic has partitions can share the work.");
  command->callback([arguments, &exit_code] {
    exit_code = run_process(*arguments, {.writes = true}, write_welcome);
  });
}

}  // namespace millrace::apps
