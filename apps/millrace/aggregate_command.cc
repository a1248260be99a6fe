#include <fmt/format.h>

#include <csignal>

#include "app_config.h"
#include "base/units.h"
#include "commands.h"
#include "process.h"
#include "rollup/aggregator.h"
#include "scratch_folder.h"
#include "signals.h"
#include "store/location.h"
#include "version.h"
#include "writer/table_schemas.h"

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
  MR_TRY_ASSIGN(const ScratchFolder scratch, ScratchFolder::create(config.scratch_directory()));
  sql::EngineOptions engine_options = config.sql;
  engine_options.temporary_directory = scratch.path() + "/sql";
  MR_TRY_ASSIGN(const auto lake, open_lake(config, metrics));
  MR_TRY_ASSIGN(const auto analytics,
                store::open_store(config.analytics_location(), store::Access::read_write, metrics));
  MR_TRY_ASSIGN(const auto engine, sql::Engine::open(engine_options));
  rollup::Aggregator aggregator({.source_schema = writer::access_logs_schema(),
                                 .scratch_directory = scratch.path(),
                                 .rollups = config.rollups},
                                *lake, *analytics, *engine, clock, metrics);
  return arguments.rebuilds ? aggregator.rebuild(arguments.rebuilt_rollup) : aggregator.run_once();
}

std::string aggregate_welcome(const Process& process, const AppConfig& config) {
  return fmt::format("Millrace {} aggregates every {}\nMetrics: {}/metrics\n", version,
                     format_duration(config.aggregate_interval), process.admin_url());
}

int run_aggregate(const AggregateArguments& arguments) {
  if (!arguments.config.aggregate_interval.empty()) {
    return run_process(arguments.config, {.aggregates = true}, aggregate_welcome);
  }
  AppConfig config;
  if (const auto loaded = load_config(arguments.config, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  set_up_logging(config.log_format, config.log_level);
  if (!arguments.once && !arguments.rebuilds) {
    return complain(
        "want --once, --every or --rebuild (a running `millrace serve` aggregates by itself)",
        exit_usage);
  }
  block_stop_signals();
  const EndAtStopSignal watch(128 + SIGTERM);
  const auto summary = aggregate(arguments, config);
  if (!summary) return complain(summary.error().message);
  fmt::print("folded {} files in, wrote {} summaries\n", summary->files_folded,
             summary->summaries_written);
  return 0;
}

}  // namespace

void add_aggregate_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<AggregateArguments>();
  arguments->config.secrets_of_others = secrets_beside_tables;
  auto* command =
      program.add_subcommand("aggregate", "Bring rollups and summaries up to the table");
  command->add_option("--config", arguments->config.file, "YAML file");
  command->add_option("--data", arguments->config.data_directory,
                      "The data folder (default: data)");
  auto* once = command->add_flag("--once", arguments->once, "Fold in what is new, and exit");
  command
      ->add_option("--every", arguments->config.aggregate_interval,
                   "Go on until SIGTERM or Ctrl-C, and look for new data so often (30s)")
      ->excludes(once);
  command->add_option("--admin", arguments->config.admin_listen,
                      "HOST:PORT of /metrics with --every (default: 127.0.0.1:8081)");
  auto* rebuild = command->add_option("--rebuild", arguments->rebuilt_rollup,
                                      "Make the sums of one rollup, or of all, anew");
  rebuild->expected(0, 1)->excludes("--every");
  command->callback([arguments, rebuild, &exit_code] {
    arguments->rebuilds = rebuild->count() > 0;
    exit_code = run_aggregate(*arguments);
  });
}

}  // namespace millrace::apps
