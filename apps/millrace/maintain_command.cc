#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "app_config.h"
#include "base/units.h"
#include "commands.h"
#include "maintenance/erasure.h"
#include "maintenance/maintainer.h"
#include "scratch_folder.h"
#include "signals.h"
#include "store/location.h"

namespace millrace::apps {

namespace {

struct MaintainArguments {
  ConfigArguments config;
  bool is_dry_run = false;
  bool is_quiet = false;
  bool skips_compaction = false;
  bool skips_vacuum = false;
  std::string table{};
  std::string erased_site{};
};

using Tables = std::vector<maintenance::TableMaintenance>;

std::string files_text(std::size_t files, std::uint64_t bytes) {
  return fmt::format("{} file{} ({})", files, files == 1 ? "" : "s", rounded_size(bytes));
}

// "access_logs: 40 files (12 MiB) -> 1 file (11 MiB): merged 40 into 1, deleted 3 files (2 KiB)"
std::string summary_of(const maintenance::TableMaintenance& done) {
  std::vector<std::string> acts;
  if (done.files_expired > 0)
    acts.push_back(fmt::format("ended the time of {}", done.files_expired));
  if (done.files_merged > 0) {
    acts.push_back(fmt::format("merged {} into {}", done.files_merged, done.files_written));
  }
  if (done.vacuumed.count > 0) {
    acts.push_back("deleted " + files_text(done.vacuumed.count, done.vacuumed.bytes));
  }
  if (done.log_cleaned.count > 0) {
    acts.push_back(fmt::format("deleted {} of the log's objects", done.log_cleaned.count));
  }
  std::string files = files_text(done.files_before, done.bytes_before);
  if (done.files_after != done.files_before || done.bytes_after != done.bytes_before) {
    files += " -> " + files_text(done.files_after, done.bytes_after);
  }
  return fmt::format("{}: {}: {}", done.table, files,
                     acts.empty() ? "nothing to do" : fmt::format("{}", fmt::join(acts, ", ")));
}

// Ends the maintenance when somebody wants the process to stop.
class StopWatch {
 public:
  explicit StopWatch(maintenance::Maintainer& maintainer)
      : thread_([&maintainer](const std::stop_token& done) {
          while (!done.stop_requested()) {
            if (wait_for_stop_signal(std::chrono::milliseconds(50))) {
              maintainer.stop();
              return;
            }
          }
        }) {}

 private:
  std::jthread thread_;
};

// What both kinds of work need.
struct Workshop {
  SystemClock clock;
  MetricsRegistry metrics;
  std::unique_ptr<store::ObjectStore> lake;
  std::unique_ptr<ScratchFolder> scratch;
  std::unique_ptr<sql::Engine> engine;
};

Result<void> open_workshop(const AppConfig& config, Workshop& workshop) {
  MR_TRY_ASSIGN(workshop.lake, open_lake(config, workshop.metrics));
  MR_TRY_ASSIGN(ScratchFolder scratch, ScratchFolder::create(config.scratch_directory()));
  workshop.scratch = std::make_unique<ScratchFolder>(std::move(scratch));
  sql::EngineOptions options = config.sql;
  options.temporary_directory = workshop.scratch->path() + "/sql";
  MR_TRY_ASSIGN(workshop.engine, sql::Engine::open(options));
  return {};
}

Result<Tables> maintain(const MaintainArguments& arguments, const AppConfig& config) {
  Workshop workshop;
  MR_TRY(open_workshop(config, workshop));
  maintenance::MaintenanceOptions options = config.maintenance;
  options.scratch_directory = workshop.scratch->path();
  options.is_dry_run = arguments.is_dry_run;
  options.compacts = !arguments.skips_compaction;
  options.vacuums = !arguments.skips_vacuum;
  const bool tells = !arguments.is_quiet && (isatty(STDERR_FILENO) != 0 || arguments.is_dry_run);
  maintenance::Maintainer maintainer(options, *workshop.lake, *workshop.engine, workshop.clock,
                                     workshop.metrics, [tells](const std::string& line) {
                                       if (tells) fmt::print(stderr, "{}\n", line);
                                     });
  const StopWatch watch(maintainer);
  if (arguments.table.empty()) return maintainer.run();
  MR_TRY_ASSIGN(auto done, maintainer.run(arguments.table));
  return Tables{std::move(done)};
}

Result<std::vector<maintenance::Erased>> erase(const MaintainArguments& arguments,
                                               const AppConfig& config) {
  Workshop workshop;
  MR_TRY(open_workshop(config, workshop));
  maintenance::ErasureOptions options{.site = arguments.erased_site,
                                      .tables = config.maintenance.record_tables,
                                      .is_dry_run = arguments.is_dry_run,
                                      .scratch_directory = workshop.scratch->path()};
  for (const auto& rollup : config.maintenance.rollups) options.tables.push_back(rollup.name);
  return maintenance::erase_site(options, *workshop.lake, *workshop.engine, workshop.clock);
}

int run_erase(const MaintainArguments& arguments, const AppConfig& config) {
  const auto erased = erase(arguments, config);
  if (!erased) return complain(erased.error().message);
  for (const auto& done : *erased) {
    fmt::print("{}{}: {} rows of {} in {} files{}\n", arguments.is_dry_run ? "dry run: " : "",
               done.table, done.rows, arguments.erased_site, done.files,
               arguments.is_dry_run ? "" : " taken out");
  }
  return 0;
}

int run_maintain(const MaintainArguments& arguments) {
  AppConfig config;
  if (const auto loaded = load_config(arguments.config, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  set_up_logging(config.log_format, config.log_level);
  // It can be ended at any time: what it has done stays done.
  if (!arguments.erased_site.empty()) return run_erase(arguments, config);
  block_stop_signals();
  const auto tables = maintain(arguments, config);
  if (!tables) return complain(tables.error().message);
  if (tables->empty()) return complain("there are no tables at " + config.lake_location().url);
  for (const auto& done : *tables) {
    fmt::print("{}{}\n", arguments.is_dry_run ? "dry run: " : "", summary_of(done));
  }
  return 0;
}

}  // namespace

void add_maintain_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<MaintainArguments>();
  auto* command = program.add_subcommand(
      "maintain", "Merge small files, end the time of old records, delete what nobody needs");
  add_lake_options(*command, arguments->config);
  command->add_flag("--dry-run", arguments->is_dry_run, "Say what would be done, and do nothing");
  command->add_option("--table", arguments->table, "This table only (default: all)");
  command->add_flag("--no-compaction", arguments->skips_compaction, "Merge no files");
  command->add_flag("--no-vacuum", arguments->skips_vacuum, "Delete no objects");
  command->add_option("--retention", arguments->config.record_retention,
                      "Keep records this long, such as 400d (default: maintain.retention)");
  command->add_option("--vacuum-retention", arguments->config.vacuum_retention,
                      "Keep removed files this long (default: maintain.vacuum_retention, 7d)");
  command->add_flag("--force", arguments->config.is_forced,
                    "Take a --vacuum-retention of less than a day: nothing else may run then");
  command->add_option(
      "--erase-site", arguments->erased_site,
      "Take all rows of this site out of all tables, and do nothing else; their files "
      "are deleted once --vacuum-retention is over");
  command->add_flag("--quiet", arguments->is_quiet, "Say nothing while it goes on");
  command->footer(
      "Works while writers, the aggregation and readers are busy. `millrace serve` does it by "
      "itself\n(maintain.enabled, maintain.interval).");
  command->callback([arguments, &exit_code] { exit_code = run_maintain(*arguments); });
}

}  // namespace millrace::apps
