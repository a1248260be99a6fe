#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/time_text.h"
#include "base/units.h"
#include "commands.h"
#include "lake_query.h"
#include "signals.h"
#include "store/location.h"

namespace millrace::apps {

Result<std::unique_ptr<sql::Engine>> open_query_engine(const LakeQueryOptions& options) {
  sql::EngineOptions engine_options;
  engine_options.memory_bytes_max = options.memory_bytes_max;
  engine_options.threads = options.threads;
  engine_options.temporary_directory =
      (std::filesystem::temp_directory_path() / fmt::format("millrace-query-{}", getpid()))
          .string();
  return sql::Engine::open(engine_options);
}

void add_lake_options(CLI::App& command, ConfigArguments& arguments) {
  arguments.secrets_of_others = secrets_beside_tables;
  command.add_option("--config", arguments.file,
                     "YAML file of the pipeline; its data, lake, s3 and cache count");
  command.add_option("--data", arguments.data_directory, "The data folder (default: data)");
  command.add_option("--lake", arguments.lake, "The folder or s3://BUCKET/PREFIX of the tables");
}

Result<void> query_lake(sql::Engine& engine, const ConfigArguments& where,
                        const query::RecordFilter& filter, const std::string& statement,
                        sql::RowSink& sink) {
  AppConfig config;
  MR_TRY(load_config(where, config));
  store::Location location = config.lake_location();
  if (!store::is_s3(location.url)) location.url = std::filesystem::absolute(location.url).string();
  MetricsRegistry metrics;
  auto lake = store::open_store(location, store::Access::read_only, metrics);
  if (!lake && lake.error().code == Errc::not_found) {
    return fail(Errc::not_found,
                fmt::format("{} has no tables: is --data the folder of a `millrace serve`? ({})",
                            config.data_directory, lake.error().message));
  }
  if (!lake) return tl::unexpected(lake.error());
  MR_TRY_ASSIGN(const query::Views views,
                query::create_views(engine, **lake, SystemClock(), statement, filter));
  for (const auto& table : views.unreadable) {
    fmt::print(stderr, "millrace: warning: the table {} is left out: {}\n", table.name,
               table.error.message);
  }
  std::vector<std::string> directories;
  for (const auto& files : views.files) directories.push_back(files->root());
  MR_TRY(engine.lock_down(directories));
  return engine.query(statement, sink);
}

namespace {

struct QueryArguments {
  ConfigArguments where;
  std::string from{};
  std::string to{};
  std::string site{};
  std::string format = "table";
  std::optional<std::string> sql{};
  bool serves = false;
  std::string memory = "1GiB";
  std::string timeout{};
  int threads = 2;
};

// As a shell reports a process that Ctrl-C ended.
constexpr int exit_interrupted = 130;

int complain_late(std::chrono::milliseconds timeout) {
  return complain(
      fmt::format("the query took longer than {} (--timeout)", format_duration(timeout)));
}

// Ends a query at its time limit, or when somebody wants the process to stop.
class QueryWatch {
 public:
  QueryWatch(sql::Engine& engine, std::optional<std::chrono::milliseconds> timeout)
      : thread_([this, &engine, timeout](const std::stop_token& done) {
          run(engine, timeout, done);
        }) {}

  bool was_stopped() const { return was_stopped_; }
  bool was_late() const { return was_late_; }

 private:
  void run(sql::Engine& engine, std::optional<std::chrono::milliseconds> timeout,
           const std::stop_token& done) {
    const auto start = std::chrono::steady_clock::now();
    while (!done.stop_requested() && !was_stopped_ && !was_late_) {
      was_stopped_ = wait_for_stop_signal(std::chrono::milliseconds(10));
      was_late_ = timeout && std::chrono::steady_clock::now() - start > *timeout;
    }
    if (done.stop_requested()) return;
    engine.interrupt();
    // The query may wait for whoever reads its output.
    for (int i = 0; i < 100 && !done.stop_requested(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (done.stop_requested()) return;
    if (was_late_) static_cast<void>(complain_late(*timeout));
    std::_Exit(was_stopped_ ? exit_interrupted : exit_failed);
  }

  std::atomic<bool> was_stopped_{false};
  std::atomic<bool> was_late_{false};
  std::jthread thread_;  // Joined first.
};

// A time, or a date for the start of that day.
Result<std::optional<Timestamp>> parse_bound(const std::string& option, const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (const auto day = parse_iso_date(text)) return Timestamp(*day);
  const auto time = parse_rfc3339(text);
  if (time) return *time;
  return fail(Errc::invalid_argument,
              fmt::format("{}: \"{}\" is neither a time nor a date (want e.g. 2026-11-24T08:00:00Z "
                          "or 2026-11-24)",
                          option, text));
}

Result<query::RecordFilter> filter_of(const QueryArguments& arguments) {
  query::RecordFilter filter;
  MR_TRY_ASSIGN(filter.from, parse_bound("--from", arguments.from));
  MR_TRY_ASSIGN(filter.to, parse_bound("--to", arguments.to));
  if (!arguments.site.empty()) filter.site = arguments.site;
  return filter;
}

int query(const QueryArguments& arguments) {
  if (arguments.serves) return serve_queries(arguments.where);
  if (!arguments.sql) return complain("query: want SQL, or --serve", exit_usage);
  const auto format = query::parse_result_format(arguments.format);
  if (!format) return complain("--format: " + format.error().message, exit_usage);
  const auto memory = parse_size(arguments.memory);
  if (!memory) return complain("--memory: " + memory.error().message, exit_usage);
  std::optional<std::chrono::milliseconds> timeout;
  if (!arguments.timeout.empty()) {
    const auto parsed = parse_duration(arguments.timeout);
    if (!parsed) return complain("--timeout: " + parsed.error().message, exit_usage);
    timeout = *parsed;
  }
  const auto filter = filter_of(arguments);
  if (!filter) return complain(filter.error().message, exit_usage);
  block_stop_signals();
  const auto engine =
      open_query_engine({.memory_bytes_max = *memory, .threads = arguments.threads});
  if (!engine) return complain(engine.error().message);
  const auto sink = query::format_result(*format, [](std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  });
  QueryWatch watch(**engine, timeout);
  const auto done = query_lake(**engine, arguments.where, *filter, *arguments.sql, *sink);
  if (watch.was_stopped()) return exit_interrupted;
  if (watch.was_late()) return complain_late(*timeout);
  if (!done) return complain(done.error().message);
  sink->finish();
  return std::fflush(stdout) == 0 ? 0 : exit_failed;
}

}  // namespace

void add_query_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<QueryArguments>();
  auto* command = program.add_subcommand("query", "Run SQL over the tables of a data folder");
  command->add_option("SQL", arguments->sql, "One statement of DuckDB's SQL");
  add_lake_options(*command, arguments->where);
  command->add_option("--from", arguments->from,
                      "Records of this time or later only: only files that may have some are read");
  command->add_option("--to", arguments->to, "Records before this time only");
  command->add_option("--site", arguments->site, "Records of this site only");
  auto* serve = command->add_flag("--serve", arguments->serves,
                                  "Serve the analytics API and the web page until it is stopped");
  command
      ->add_option("--listen", arguments->where.listen,
                   "HOST:PORT of that (default: 127.0.0.1:8080)")
      ->needs(serve);
  command
      ->add_option("--admin", arguments->where.admin_listen,
                   "HOST:PORT of its /metrics (default: 127.0.0.1:8081)")
      ->needs(serve);
  command->add_option("--format", arguments->format, "table, csv, json or ndjson")
      ->capture_default_str();
  command->add_option("--memory", arguments->memory, "Memory limit; what needs more goes to disk")
      ->capture_default_str();
  command->add_option("--timeout", arguments->timeout, "Give up after this long, such as 30s");
  command->add_option("--threads", arguments->threads, "Threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  for (auto* option : command->get_options()) {
    // What a server is told by its configuration.
    const bool is_of_both = option == serve || option->get_needs().contains(serve) ||
                            option->check_name("--config") || option->check_name("--data") ||
                            option->check_name("--lake") || option->check_name("--help");
    if (!is_of_both) serve->excludes(option);
  }
  command->footer(
      "Works while a server runs on the folder, and on a copy of it without one. The tables:\n"
      "access_logs, dead_letters, rollup_by_path, rollup_by_user_agent, rollup_by_status,\n"
      "rollup_by_bot");
  command->callback([arguments, &exit_code] { exit_code = query(*arguments); });
}

}  // namespace millrace::apps
