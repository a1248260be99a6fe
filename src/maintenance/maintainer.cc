#include "maintenance/maintainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/crash_point.h"
#include "base/time_text.h"
#include "base/units.h"
#include "delta/find_tables.h"
#include "maintenance/file_rewriter.h"
#include "maintenance/merge_plan.h"
#include "query/record_filter.h"
#include "rollup/covered.h"

namespace millrace::maintenance {

namespace {

using std::chrono::milliseconds;

// A day gets hardly any records once it has been over for this long.
constexpr std::chrono::hours settled_after(24);

constexpr std::chrono::hours unfinished_age_max(24);

std::string partition_text(const delta::AddFile& file) {
  std::string text;
  for (const auto& [name, value] : file.partition_values) {
    text += fmt::format("{}{}={}", text.empty() ? "" : "/", name, value.value_or("null"));
  }
  return text;
}

std::optional<Day> day_of_partition(const delta::AddFile& file) {
  const auto value = file.partition_values.find("date");
  if (value == file.partition_values.end() || !value->second) return std::nullopt;
  const auto day = parse_iso_date(*value->second);
  return day ? std::optional(*day) : std::nullopt;
}

// When the youngest of a file's records came; where its statistics do not say, when it was made.
Timestamp last_received(const delta::AddFile& file) {
  const auto stats = nlohmann::json::parse(file.stats_json, nullptr, false);
  const nlohmann::json::json_pointer place("/maxValues/received_at");
  if (stats.is_object() && stats.contains(place) && stats[place].is_string()) {
    const auto time = parse_rfc3339(stats[place].get<std::string>());
    if (time) return *time;
  }
  return file.modified;
}

std::uint64_t total_bytes(const delta::Snapshot& snapshot) {
  std::uint64_t bytes = 0;
  for (const auto& [path, file] : snapshot.files)
    bytes += static_cast<std::uint64_t>(file.size_bytes);
  return bytes;
}

std::string plural(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace

Maintainer::Maintainer(MaintenanceOptions options, store::ObjectStore& lake, sql::Engine& engine,
                       const Clock& clock, MetricsRegistry& metrics, Tell tell)
    : options_(std::move(options)),
      lake_(lake),
      engine_(engine),
      clock_(clock),
      tell_(std::move(tell)),
      merged_(metrics.counter("millrace_maintenance_files_merged_total",
                              "Small files that were merged into others.")),
      written_(metrics.counter("millrace_maintenance_files_written_total",
                               "Files that small ones were merged into.")),
      expired_(metrics.counter("millrace_maintenance_files_expired_total",
                               "Files whose records had been kept as long as they were to be.")),
      vacuumed_(metrics.counter("millrace_maintenance_objects_deleted_total",
                                "Objects deleted that no table needed any more.")) {}

void Maintainer::stop() {
  is_stopped_ = true;
  engine_.interrupt();
}

Result<void> Maintainer::check_stop() const {
  if (!is_stopped_) return {};
  return fail(Errc::unavailable, "the maintenance was stopped");
}

Result<std::vector<TableMaintenance>> Maintainer::run() {
  MR_TRY_ASSIGN(const auto present, delta::find_tables(lake_));
  std::vector<std::string> names = options_.record_tables;
  for (const auto& definition : options_.rollups) names.push_back(definition.name);
  std::erase_if(names, [&present](const std::string& name) { return !present.contains(name); });
  std::vector<TableMaintenance> all;
  std::optional<Error> first_error;
  const auto note = [&](Error error) {
    if (!first_error) first_error = std::move(error);
  };
  for (const std::string& name : names) {
    MR_TRY(check_stop());
    auto done = run(name);
    if (done) {
      all.push_back(*std::move(done));
    } else {
      note({done.error().code, fmt::format("{}: {}", name, done.error().message)});
    }
  }
  if (first_error) return tl::unexpected(*std::move(first_error));
  return all;
}

Result<TableMaintenance> Maintainer::run(const std::string& name) {
  MR_TRY_ASSIGN(auto table, delta::DeltaTable::open(lake_, clock_, name));
  TableMaintenance done{.table = name,
                        .files_before = table.snapshot().files.size(),
                        .bytes_before = total_bytes(table.snapshot())};
  std::optional<Error> first_error;
  const auto note = [&first_error](const Result<void>& step) {
    if (!step && !first_error) first_error = step.error();
  };
  note(expire(table, done));
  if (options_.compacts) note(compact(table, done));
  // Whatever went wrong may be for want of the room that this gives.
  if (options_.vacuums) note(clean(table, done));
  if (first_error) return tl::unexpected(*std::move(first_error));
  done.files_after = table.snapshot().files.size();
  done.bytes_after = total_bytes(table.snapshot());
  return done;
}

bool Maintainer::is_of_records(const std::string& table) const {
  const auto& tables = options_.record_tables;
  return std::find(tables.begin(), tables.end(), table) != tables.end();
}

// Sums are meant to outlive the records. Where another process has removed one of the files
// meanwhile, they are left to the next run.
Result<void> Maintainer::expire(delta::DeltaTable& table, TableMaintenance& done) {
  if (options_.record_retention == milliseconds::zero() || !is_of_records(done.table)) return {};
  const Timestamp until = clock_.now() - options_.record_retention;
  delta::Commit commit{.operation = std::string(delta::retention_operation)};
  std::uint64_t bytes = 0;
  for (const auto& [path, file] : table.snapshot().files) {
    const auto day = day_of_partition(file);
    // What came late stays as long: its key is remembered by it, and so is a replayed letter.
    if (!day || *day + std::chrono::days(1) > until || last_received(file) >= until) continue;
    commit.removes.push_back({path, file.partition_values, file.size_bytes, true});
    bytes += static_cast<std::uint64_t>(file.size_bytes);
  }
  if (commit.removes.empty()) return {};
  if (table.is_append_only()) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: delta.appendOnly is set: its records cannot expire", done.table));
  }
  tell_(fmt::format("{}: the time of {} ({}) from before {} is over", done.table,
                    plural(commit.removes.size(), "file"), rounded_size(bytes),
                    to_rfc3339(until).substr(0, 10)));
  if (options_.is_dry_run) {
    done.files_expired = commit.removes.size();
    return {};
  }
  const std::string id(delta::retention_progress_id);
  const auto known = table.snapshot().progress.find(id);
  const auto start = known == table.snapshot().progress.end() ? std::optional<std::int64_t>()
                                                              : std::optional(known->second);
  const std::int64_t day = day_of(until).time_since_epoch().count();
  commit.progress.push_back({id, start, std::max(day, start.value_or(day))});
  crash_point("maintenance.before_commit");
  const auto committed = table.commit(commit);
  if (!committed && committed.error().code == Errc::fenced) return table.refresh();
  if (!committed) return tl::unexpected(committed.error());
  done.files_expired = commit.removes.size();
  expired_.add(static_cast<double>(done.files_expired));
  return {};
}

Result<void> Maintainer::compact(delta::DeltaTable& table, TableMaintenance& done) {
  using PartitionValues = std::map<std::string, std::optional<std::string>>;
  std::map<PartitionValues, std::vector<delta::AddFile>> partitions;
  for (const auto& [path, file] : table.snapshot().files) {
    partitions[file.partition_values].push_back(file);
  }
  const bool is_of_sums = query::time_column(table.snapshot().schema) == "hour";
  Result<void> outcome;
  for (auto& [values, files] : partitions) {
    const auto day = day_of_partition(files.front());
    const bool is_settled = !day || *day + std::chrono::days(1) + settled_after <= clock_.now();
    // The hours of a day that still gets records are rewritten one by one.
    if (is_of_sums && !is_settled) continue;
    const auto groups = plan_merges(std::move(files), options_.file_size_bytes,
                                    is_settled ? 2 : options_.files_min);
    for (const auto& group : groups) {
      MR_TRY(check_stop());
      auto merged = merge(table, group, done);
      if (!merged && outcome) outcome = std::move(merged);
    }
  }
  return outcome;
}

// Where another process has removed one of the files meanwhile, they are left to the next run.
Result<void> Maintainer::merge(delta::DeltaTable& table, const std::vector<delta::AddFile>& files,
                               TableMaintenance& done) {
  std::uint64_t bytes = 0;
  for (const auto& file : files) bytes += static_cast<std::uint64_t>(file.size_bytes);
  const std::string what = fmt::format("{}/{}: {} ({})", done.table, partition_text(files.front()),
                                       plural(files.size(), "small file"), rounded_size(bytes));
  if (options_.is_dry_run) {
    done.files_merged += files.size();
    done.files_written += 1;
    tell_(what + " to be merged into one");
    return {};
  }
  FileRewriter rewriter(lake_, engine_, clock_, options_.scratch_directory);
  MR_TRY_ASSIGN(const delta::AddFile merged, rewriter.rewrite(table, files, "true"));
  delta::Commit commit{.operation = "OPTIMIZE"};
  commit.adds.push_back(merged);
  for (const auto& file : files) {
    commit.removes.push_back({file.path, file.partition_values, file.size_bytes, false});
  }
  crash_point("maintenance.before_commit");
  const auto committed = table.commit(commit);
  crash_point("maintenance.after_commit");
  if (!committed && committed.error().code == Errc::fenced) {
    tell_(what + " were not merged: another process has changed them");
    return lake_.remove(table.root() + '/' + merged.path);
  }
  if (!committed) return tl::unexpected(committed.error());
  done.files_merged += files.size();
  done.files_written += 1;
  merged_.add(static_cast<double>(files.size()));
  written_.add();
  tell_(fmt::format("{} merged into one ({})", what,
                    rounded_size(static_cast<std::uint64_t>(merged.size_bytes))));
  return {};
}

// What a rollup has not read yet stays, whatever its age.
Result<void> Maintainer::clean(delta::DeltaTable& table, TableMaintenance& done) {
  MR_TRY(check_stop());
  std::optional<delta::Version> covered;
  if (is_of_records(done.table)) {
    MR_TRY_ASSIGN(covered, rollup::least_covered_version(options_.rollups, lake_, clock_,
                                                         table.snapshot().table_id));
  }
  std::set<std::string> unread;
  if (covered && *covered < table.snapshot().version) {
    const auto keep = [&unread](const delta::VersionChanges& change) {
      for (const auto& file : change.adds) unread.insert(file.path);
    };
    const auto read = table.visit_changes_after(*covered, keep, [this] { return is_stopped(); });
    // Of a log that is gone a rollup makes itself anew.
    if (!read && read.error().code != Errc::not_found) return read;
  }
  const auto stop = [this] { return is_stopped(); };
  MR_TRY_ASSIGN(done.vacuumed, table.vacuum(clock_.now() - options_.removed_file_retention, unread,
                                            options_.is_dry_run, stop));
  const delta::Version keep_from = covered ? covered->next() : table.snapshot().version;
  MR_TRY_ASSIGN(done.log_cleaned, table.clean_up_log(clock_.now() - options_.log_retention,
                                                     keep_from, options_.is_dry_run, stop));
  const std::string verb = options_.is_dry_run ? "to be deleted" : "deleted";
  if (done.vacuumed.count > 0) {
    tell_(fmt::format("{}: {} ({}) that nobody needs {}", done.table,
                      plural(done.vacuumed.count, "file"), rounded_size(done.vacuumed.bytes),
                      verb));
  }
  if (done.log_cleaned.count > 0) {
    tell_(fmt::format("{}: {} of the log's past {}", done.table,
                      plural(done.log_cleaned.count, "object"), verb));
  }
  if (!options_.is_dry_run) {
    const auto ended = lake_.remove_unfinished(done.table + "/", clock_.now() - unfinished_age_max);
    if (!ended) {
      // A right that is needed for nothing else, and room that a rule of the bucket may free as
      // well.
      tell_(fmt::format("{}: unfinished uploads stay: {}", done.table, ended.error().message));
    }
    vacuumed_.add(static_cast<double>(done.vacuumed.count + done.log_cleaned.count));
  }
  return {};
}

}  // namespace millrace::maintenance
