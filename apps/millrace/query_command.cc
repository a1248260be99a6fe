#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/units.h"
#include "commands.h"
#include "lake_query.h"
#include "signals.h"

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

Result<void> query_lake(sql::Engine& engine, const std::string& data_directory,
                        const std::string& statement, sql::RowSink& sink) {
  const std::string lake_directory = std::filesystem::absolute(data_directory + "/lake").string();
  auto lake = store::LocalStore::open_read_only(lake_directory);
  if (!lake) {
    return fail(Errc::not_found,
                fmt::format("{} has no tables: is --data the folder of a `millrace serve`? ({})",
                            data_directory, lake.error().message));
  }
  MR_TRY_ASSIGN(const auto unreadable,
                query::create_views(engine, **lake, SystemClock(), statement));
  for (const auto& table : unreadable) {
    fmt::print(stderr, "millrace: warning: the table {} is left out: {}\n", table.name,
               table.error.message);
  }
  MR_TRY(engine.lock_down({lake_directory}));
  return engine.query(statement, sink);
}

namespace {

struct QueryArguments {
  std::string data_directory = "data";
  std::string format = "table";
  std::string sql;
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

int query(const QueryArguments& arguments) {
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
  block_stop_signals();
  const auto engine =
      open_query_engine({.memory_bytes_max = *memory, .threads = arguments.threads});
  if (!engine) return complain(engine.error().message);
  const auto sink = query::format_result(*format, [](std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  });
  QueryWatch watch(**engine, timeout);
  const auto done = query_lake(**engine, arguments.data_directory, arguments.sql, *sink);
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
  command->add_option("SQL", arguments->sql, "One statement of DuckDB's SQL")->required();
  command->add_option("--data", arguments->data_directory, "The data folder")
      ->capture_default_str();
  command->add_option("--format", arguments->format, "table, csv, json or ndjson")
      ->capture_default_str();
  command->add_option("--memory", arguments->memory, "Memory limit; what needs more goes to disk")
      ->capture_default_str();
  command->add_option("--timeout", arguments->timeout, "Give up after this long, such as 30s");
  command->add_option("--threads", arguments->threads, "Threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->footer(
      "Works while a server runs on the folder, and on a copy of it without one. The tables:\n"
      "access_logs, dead_letters, rollup_by_path, rollup_by_user_agent, rollup_by_status");
  command->callback([arguments, &exit_code] { exit_code = query(*arguments); });
}

}  // namespace millrace::apps
