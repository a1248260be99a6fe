#include <fmt/format.h>

#include "app_config.h"
#include "base/posix_file.h"
#include "commands.h"
#include "rollup/aggregator.h"
#include "store/local_store.h"

namespace millrace::apps {

namespace {

struct AggregateArguments {
  ConfigArguments config;
  bool once = false;
  bool rebuilds = false;
  std::string rebuilt_rollup;
};

Result<rollup::AggregateSummary> aggregate(const AggregateArguments& arguments,
                                           const AppConfig& config) {
  const SystemClock clock;
  MetricsRegistry metrics;
  MR_TRY(create_directories(config.scratch_directory()));
  MR_TRY_ASSIGN(const auto lake, store::LocalStore::open(config.lake_directory()));
  MR_TRY_ASSIGN(const auto analytics, store::LocalStore::open(config.analytics_directory()));
  MR_TRY_ASSIGN(const auto engine, sql::Engine::open(config.sql));
  rollup::Aggregator aggregator({.scratch_directory = config.scratch_directory()}, *lake,
                                *analytics, *engine, clock, metrics);
  return arguments.rebuilds ? aggregator.rebuild(arguments.rebuilt_rollup) : aggregator.run_once();
}

int run_aggregate(const AggregateArguments& arguments) {
  AppConfig config;
  if (const auto loaded = load_config(arguments.config, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  set_up_logging(config.log_format, config.log_level);
  if (!arguments.once && !arguments.rebuilds) {
    return complain("want --once or --rebuild (a running `millrace serve` aggregates by itself)",
                    exit_usage);
  }
  const auto summary = aggregate(arguments, config);
  if (!summary) return complain(summary.error().message);
  fmt::print("folded {} files in, wrote {} summaries\n", summary->files_folded,
             summary->summaries_written);
  return 0;
}

}  // namespace

void add_aggregate_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<AggregateArguments>();
  auto* command =
      program.add_subcommand("aggregate", "Bring rollups and summaries up to the table");
  command->add_option("--config", arguments->config.file, "YAML file");
  command->add_option("--data", arguments->config.data_directory,
                      "The data folder (default: data)");
  command->add_flag("--once", arguments->once, "Fold in what is new, and exit");
  auto* rebuild = command->add_option("--rebuild", arguments->rebuilt_rollup,
                                      "Make the sums of one rollup, or of all, anew");
  rebuild->expected(0, 1);
  command->callback([arguments, rebuild, &exit_code] {
    arguments->rebuilds = rebuild->count() > 0;
    exit_code = run_aggregate(*arguments);
  });
}

}  // namespace millrace::apps
