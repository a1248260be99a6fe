#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "base/random_id.h"
#include "base/units.h"
#include "commands.h"
#include "lake_query.h"
#include "shipper/shipper.h"

namespace millrace::apps {

namespace {

struct DeadLettersArguments {
  std::string data_directory = "data";
  std::string format = "table";
  std::string since;
  int limit = 20;
  shipper::ShipperOptions shipper;
};

std::string condition(const DeadLettersArguments& arguments) {
  return arguments.since.empty() ? std::string("true")
                                 : fmt::format("received_at >= CAST({} AS TIMESTAMPTZ)",
                                               sql::quote_text(arguments.since));
}

int list(const DeadLettersArguments& arguments) {
  const auto format = query::parse_result_format(arguments.format);
  if (!format) return complain("--format: " + format.error().message, exit_usage);
  const auto engine = open_lake(arguments.data_directory);
  if (!engine) return complain(engine.error().message);
  const auto sink = query::format_result(*format, [](std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  });
  const auto done = (*engine)->query(
      fmt::format(
          "SELECT received_at, site, source, field, reason, payload FROM dead_letters WHERE {} "
          "ORDER BY received_at DESC LIMIT {}",
          condition(arguments), arguments.limit),
      *sink);
  if (!done) return complain(done.error().message);
  sink->finish();
  return 0;
}

// Files with the payloads that can be sent again, by the format they are in.
class ReplayFiles {
 public:
  ReplayFiles()
      : directory_(std::filesystem::temp_directory_path() / ("millrace-replay-" + random_uuid())) {
    std::filesystem::create_directory(directory_);
  }
  ~ReplayFiles() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  ReplayFiles(const ReplayFiles&) = delete;
  ReplayFiles& operator=(const ReplayFiles&) = delete;

  std::string write(const std::string& name, const std::vector<sql::ResultRow>& rows) {
    const std::string path = (directory_ / name).string();
    std::ofstream file(path);
    for (const auto& row : rows) file << row.at(0).value_or("") << '\n';
    return path;
  }

 private:
  const std::filesystem::path directory_;
};

Result<int> replay(DeadLettersArguments& arguments) {
  MR_TRY_ASSIGN(const auto engine, open_lake(arguments.data_directory));
  const std::string from = fmt::format(
      "FROM dead_letters WHERE source = 'request' AND {} AND octet_length(encode(payload)) < 4096 "
      "AND "
      "NOT contains(payload, chr(10))",
      condition(arguments));
  MR_TRY_ASSIGN(
      const auto json,
      engine->rows(fmt::format(
          "SELECT payload {} AND starts_with(payload, '{{') ORDER BY received_at", from)));
  MR_TRY_ASSIGN(const auto lines,
                engine->rows(fmt::format("SELECT payload {} AND NOT starts_with(payload, '{{') AND "
                                         "contains(payload, ' [') ORDER BY received_at",
                                         from)));
  MR_TRY_ASSIGN(const auto all,
                engine->rows(fmt::format("SELECT count(*) FROM dead_letters WHERE {}",
                                         condition(arguments))));
  ReplayFiles files;
  const std::atomic<bool> never{false};
  shipper::ShipperProgress progress;
  std::vector<std::string> problems;
  arguments.shipper.format = shipper::InputFormat::ndjson;
  MR_TRY(shipper::ship(arguments.shipper, {files.write("json", json)}, never, progress, problems));
  arguments.shipper.format = shipper::InputFormat::combined;
  MR_TRY(
      shipper::ship(arguments.shipper, {files.write("lines", lines)}, never, progress, problems));
  for (const std::string& problem : problems) fmt::print(stderr, "millrace: {}\n", problem);
  const std::size_t sent = json.size() + lines.size();
  fmt::print(
      "sent {} of {} dead letters again: {} accepted, {} rejected, {} not delivered; the others "
      "were "
      "cut, or are of no format that stands alone\n",
      sent, all.at(0).at(0).value_or("0"), progress.records_accepted.load(),
      progress.records_rejected.load(), progress.records_undelivered.load());
  return progress.records_undelivered > 0 ? exit_failed : 0;
}

int run_replay(DeadLettersArguments arguments) {
  const auto done = replay(arguments);
  return done ? *done : complain(done.error().message);
}

}  // namespace

void add_dead_letters_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<DeadLettersArguments>();
  auto* command = program.add_subcommand("dead-letters", "Records that were rejected, and why");
  command->require_subcommand(1);
  const auto add_common = [&arguments](CLI::App* subcommand) {
    subcommand->add_option("--data", arguments->data_directory, "The data folder")
        ->capture_default_str();
    subcommand->add_option("--since", arguments->since,
                           "Received at this time or later (RFC 3339)");
  };
  auto* list_command = command->add_subcommand("list", "Show them, newest first");
  add_common(list_command);
  list_command->add_option("--limit", arguments->limit, "How many")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  list_command->add_option("--format", arguments->format, "table, csv, json or ndjson")
      ->capture_default_str();
  list_command->callback([arguments, &exit_code] { exit_code = list(*arguments); });
  auto* replay_command = command->add_subcommand(
      "replay",
      "Send them again, after the limit or the sender was mended; what is rejected again "
      "becomes a new dead letter");
  add_common(replay_command);
  replay_command->add_option("--to", arguments->shipper.url, "URL of the API")
      ->default_val("http://127.0.0.1:8080");
  replay_command->add_option("--key", arguments->shipper.api_key, "API key");
  replay_command->callback([arguments, &exit_code] { exit_code = run_replay(*arguments); });
}

}  // namespace millrace::apps
