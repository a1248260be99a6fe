#include "rollup/rollup_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/random_id.h"
#include "base/scratch_file.h"
#include "base/time_text.h"
#include "query/column_sql.h"
#include "store/upload.h"

namespace millrace::rollup {

namespace {

// The progress of a definition that another has taken over: its sums are not there any more.
constexpr std::int64_t void_version = -1;

// How long a query may go on reading the files that it started with. Every fold rewrites the hours
// that it touches: files that are kept for long would be most of what is stored.
constexpr std::chrono::hours removed_file_retention(1);

// How much of the source is read at a time.
constexpr std::uint64_t group_bytes_max = 1ULL << 30;

// Whether records of that day have been taken out because their time was over: what is left of it
// is not all that was summed up.
bool is_expired(const delta::DeltaTable& source, const std::string& date) {
  const auto& progress = source.snapshot().progress;
  const auto until = progress.find(std::string(delta::retention_progress_id));
  const auto day = parse_iso_date(date);
  return until != progress.end() && day && day->time_since_epoch().count() < until->second;
}

store::ObjectSize size_of(const delta::AddFile& file) {
  return {file.path, static_cast<std::uint64_t>(file.size_bytes)};
}

std::vector<store::ObjectSize> all_files(const delta::DeltaTable& table) {
  std::vector<store::ObjectSize> files;
  for (const auto& [path, file] : table.snapshot().files) files.push_back(size_of(file));
  return files;
}

std::string hour_literal(Hour hour) {
  return fmt::format("TIMESTAMPTZ {}", sql::quote_text(to_text(hour)));
}

}  // namespace

RollupTable::RollupTable(const RollupDefinition& definition, store::ObjectStore& lake,
                         sql::Engine& engine, const Clock& clock, std::string scratch_directory,
                         columnar::TableSchema source_schema, delta::DeltaTable table)
    : definition_(&definition),
      lake_(&lake),
      engine_(&engine),
      clock_(&clock),
      scratch_directory_(std::move(scratch_directory)),
      source_schema_(std::move(source_schema)),
      table_(std::move(table)) {}

Result<RollupTable> RollupTable::open(const RollupDefinition& definition,
                                      const columnar::TableSchema& source_schema,
                                      store::ObjectStore& lake, sql::Engine& engine,
                                      const Clock& clock, std::string scratch_directory) {
  MR_TRY_ASSIGN(const columnar::TableSchema schema, definition.schema(source_schema));
  MR_TRY_ASSIGN(auto table, delta::DeltaTable::open_or_create(
                                lake, clock, definition.name, schema,
                                {.removed_file_retention = removed_file_retention}));
  return RollupTable(definition, lake, engine, clock, std::move(scratch_directory), source_schema,
                     std::move(table));
}

std::optional<std::int64_t> RollupTable::covered(const delta::DeltaTable& source) const {
  const auto& progress = table_.snapshot().progress;
  const auto found = progress.find(definition_->progress_id(source.snapshot().table_id));
  if (found == progress.end() || found->second == void_version) return std::nullopt;
  return found->second;
}

std::int64_t RollupTable::lag_versions(const delta::DeltaTable& source) const {
  return source.snapshot().version.value() - covered(source).value_or(-1);
}

Result<void> RollupTable::refresh() {
  MR_TRY(table_.refresh());
  if (const auto deleted = table_.delete_removed_files(); !deleted) {
    log(LogLevel::warn, "rollup: old files could not be deleted; trying again at the next run",
        {{"rollup", definition_->name}, {"reason", deleted.error().message}});
  }
  return {};
}

// What the rows are sums of, where that is another source or another definition.
std::optional<std::string> RollupTable::other_progress(const delta::DeltaTable& source) const {
  const std::string own_id = definition_->progress_id(source.snapshot().table_id);
  for (const auto& [id, version] : table_.snapshot().progress) {
    if (id != own_id && RollupDefinition::is_progress_id(id) && version != void_version) return id;
  }
  return std::nullopt;
}

// From what the table stands at to the source's version, for this definition; any other's is void.
std::vector<delta::Progress> RollupTable::progress_to(const delta::DeltaTable& source) const {
  const std::string own_id = definition_->progress_id(source.snapshot().table_id);
  delta::Progress own{own_id, std::nullopt, source.snapshot().version.value()};
  std::vector<delta::Progress> progress;
  for (const auto& [id, version] : table_.snapshot().progress) {
    if (id == own_id) {
      own.start = version;
    } else if (RollupDefinition::is_progress_id(id) && version != void_version) {
      progress.push_back({id, version, void_version});
    }
  }
  progress.push_back(std::move(own));
  return progress;
}

Result<std::size_t> RollupTable::fold(delta::DeltaTable& source) {
  MR_TRY(refresh());
  const auto start = covered(source);
  SourceChanges changes;
  if (!start) {
    if (const auto other = other_progress(source)) {
      return fail(Errc::invalid_argument,
                  fmt::format("{} has the sums of another table or another definition ({}), not of "
                              "this {}: run `millrace aggregate --rebuild {}`",
                              definition_->name, *other, source.root(), definition_->name));
    }
    changes.added = all_files(source);
    return commit(source, changes, false);
  }
  if (*start == source.snapshot().version.value()) return 0;
  auto since = changes_since(source, delta::Version(*start));
  if (!since && since.error().code == Errc::not_found) {
    log(LogLevel::warn,
        "rollup: the source's log has been cleaned up behind it; making all sums anew",
        {{"rollup", definition_->name}, {"reason", since.error().message}});
    return rebuild(source);
  }
  if (!since) return tl::unexpected(since.error());
  auto folded = commit(source, *since, false);
  if (folded || folded.error().code != Errc::not_found) return folded;
  log(LogLevel::warn,
      "rollup: files of the source are gone that were not read; making all sums anew",
      {{"rollup", definition_->name}, {"reason", folded.error().message}});
  return rebuild(source);
}

Result<std::size_t> RollupTable::rebuild(delta::DeltaTable& source) {
  MR_TRY(refresh());
  SourceChanges all;
  all.added = all_files(source);
  if (const auto start = covered(source)) {
    // First what is new, as far as it is still there: below, days that have expired are left as
    // they are, since the sums know more than what is left of them.
    auto since = changes_since(source, delta::Version(*start));
    if (!since && since.error().code != Errc::not_found) return tl::unexpected(since.error());
    if (since) {
      const auto folded = commit(source, *since, false);
      if (!folded && folded.error().code != Errc::not_found) return folded;
      if (!folded) all.recomputed_dates = std::move(since->recomputed_dates);
    }
    std::erase_if(all.added, [&](const store::ObjectSize& file) {
      const auto found = source.snapshot().files.find(file.key);
      return is_expired(source, partition_date(found->second.partition_values));
    });
  } else if (other_progress(source)) {
    for (const auto& [path, file] : table_.snapshot().files) {
      all.recomputed_dates.insert(partition_date(file.partition_values));
    }
  }
  return commit(source, all, true);
}

Result<SourceChanges> RollupTable::changes_since(delta::DeltaTable& source,
                                                 delta::Version covered) const {
  MR_TRY_ASSIGN(const auto versions, source.changes_after(covered));
  SourceChanges changes;
  std::vector<const delta::AddFile*> adds;
  for (const auto& version : versions) {
    for (const auto& file : version.adds) {
      if (file.data_change) adds.push_back(&file);
    }
    if (version.operation == delta::retention_operation) continue;
    for (const auto& file : version.removes) {
      if (!file.data_change) continue;
      std::string date = partition_date(file.partition_values);
      // The protocol lets a remove leave its partition out; ours are in the path.
      if (date.empty() && file.path.starts_with("date=")) date = file.path.substr(5, 10);
      if (is_expired(source, date)) {
        log(LogLevel::warn,
            "rollup: records were deleted of a day whose records have expired; its sums stay",
            {{"rollup", definition_->name}, {"date", date}});
        continue;
      }
      changes.recomputed_dates.insert(std::move(date));
    }
  }
  for (const delta::AddFile* file : adds) {
    if (!changes.recomputed_dates.contains(partition_date(file->partition_values))) {
      changes.added.push_back(size_of(*file));
    }
  }
  for (const auto& [path, file] : source.snapshot().files) {
    if (changes.recomputed_dates.contains(partition_date(file.partition_values))) {
      changes.added.push_back(size_of(file));
    }
  }
  return changes;
}

Result<std::size_t> RollupTable::commit(delta::DeltaTable& source, const SourceChanges& changes,
                                        bool is_rebuild) {
  MR_TRY_ASSIGN(const std::size_t groups, sum_up(source, changes.added));
  MR_TRY_ASSIGN(const auto summed, rows_by_hour("sums"));
  Hours touched;
  for (const auto& [hour, rows] : summed) touched.insert(hour);
  MR_TRY_ASSIGN(const auto replaced, replaced_files(touched, changes.recomputed_dates));

  delta::Commit commit{.operation = is_rebuild ? "REBUILD" : "MERGE",
                       .adds = {},
                       .removes = {},
                       .progress = progress_to(source)};
  std::vector<store::ObjectSize> kept;
  for (const delta::AddFile* file : replaced) {
    commit.removes.push_back({file->path, file->partition_values, file->size_bytes, true});
    const bool is_recomputed =
        changes.recomputed_dates.contains(partition_date(file->partition_values));
    if (!is_recomputed) kept.push_back(size_of(*file));
  }
  MR_TRY(add_rows_of(kept, is_rebuild));
  MR_TRY(merge(groups <= 1 && kept.empty()));
  MR_TRY_ASSIGN(const auto merged, rows_by_hour("merged"));
  for (const auto& [hour, rows] : merged) {
    MR_TRY_ASSIGN(commit.adds.emplace_back(), write_hour(hour, rows));
  }
  // No sum may outlive the version that it covers.
  MR_TRY(lake_->make_durable(source.root() + "/_delta_log"));
  crash_point("rollup.before_commit");
  MR_TRY(table_.commit(commit));
  crash_point("rollup.after_commit");
  return changes.added.size();
}

// The files that hold a touched hour or lie in a date that is made anew. Where another engine has
// put several hours into one file, the other hours of that file are rewritten with it, and so are
// their other files.
Result<std::vector<const delta::AddFile*>> RollupTable::replaced_files(
    const Hours& touched, const std::set<std::string>& recomputed_dates) const {
  std::set<std::string> dates = recomputed_dates;
  for (const Hour hour : touched) dates.insert(date_of(hour));
  std::vector<std::pair<const delta::AddFile*, HourSpan>> candidates;
  std::vector<const delta::AddFile*> replaced;
  for (const delta::AddFile* file : files_of(table_.snapshot(), dates)) {
    if (recomputed_dates.contains(partition_date(file->partition_values))) {
      replaced.push_back(file);
    } else {
      MR_TRY_ASSIGN(const HourSpan span, hours_of(*file));
      candidates.emplace_back(file, span);
    }
  }
  Hours rewritten = touched;
  for (bool has_grown = true; has_grown;) {
    has_grown = false;
    std::erase_if(candidates, [&](const auto& candidate) {
      const auto& [file, span] = candidate;
      if (!span.contains_any(rewritten)) return false;
      for (Hour hour = span.first; hour <= span.last; hour += std::chrono::hours(1)) {
        has_grown = rewritten.insert(hour).second || has_grown;
      }
      replaced.push_back(file);
      return true;
    });
  }
  return replaced;
}

// Groups the source files' records into the temporary table `sums`, some files at a time: of a
// remote store, all of them might be more than there is room for. A key then has a row for each of
// these groups, of which the number is returned. A file that lacks a column, as other engines may
// leave one out, has nulls in it.
Result<std::size_t> RollupTable::sum_up(const delta::DeltaTable& source,
                                        const std::vector<store::ObjectSize>& files) {
  const std::string none =
      query::select_none(source.snapshot().schema.with_columns_of(source_schema_).file_columns());
  MR_TRY(
      engine_->execute(fmt::format("CREATE OR REPLACE TEMP TABLE sums AS SELECT {} FROM ({})",
                                   query::column_list(table_.snapshot().schema.file_columns()),
                                   query::select_none(table_.snapshot().schema.file_columns()))));
  std::size_t groups = 0;
  MR_TRY(for_each_group(source.root(), files, [&](const std::vector<std::string>& paths) {
    ++groups;
    const std::string records = fmt::format(
        "{} UNION ALL BY NAME SELECT * FROM read_parquet({}, hive_partitioning = false, "
        "union_by_name = true)",
        none, sql::quote_list(paths));
    return engine_->execute(fmt::format("INSERT INTO sums (hour, site{}{}) {}",
                                        definition_->dimension_list(), definition_->measure_list(),
                                        definition_->sums_of(records)));
  }));
  return groups;
}

// Has files of a table on this machine, so many at a time as there is room for.
Result<void> RollupTable::for_each_group(
    const std::string& root, const std::vector<store::ObjectSize>& files,
    const std::function<Result<void>(const std::vector<std::string>&)>& use) {
  std::uint64_t bytes_max = group_bytes_max;
  for (std::size_t begin = 0; begin < files.size();) {
    std::uint64_t group_bytes = files[begin].size_bytes;
    std::size_t end = begin + 1;
    while (end < files.size() && group_bytes + files[end].size_bytes <= bytes_max) {
      group_bytes += files[end++].size_bytes;
    }
    auto group = open_files(*lake_, root, std::span(files).subspan(begin, end - begin));
    if (!group && group.error().code == Errc::exhausted && end - begin > 1) {
      bytes_max = group_bytes / 2;
      continue;
    }
    if (!group) return tl::unexpected(std::move(group).error());
    MR_TRY(use(group->paths));
    begin = end;
  }
  return {};
}

Result<std::map<Hour, std::int64_t>> RollupTable::rows_by_hour(const std::string& temporary_table) {
  MR_TRY_ASSIGN(
      const auto rows,
      engine_->rows(fmt::format("SELECT hour, count(*) FROM {} GROUP BY hour", temporary_table)));
  std::map<Hour, std::int64_t> hours;
  for (const auto& row : rows) {
    MR_TRY_ASSIGN(const Hour hour, parse_hour(row.at(0).value_or("")));
    hours[hour] = std::stoll(row.at(1).value_or("0"));
  }
  return hours;
}

// Adds the rows of the rollup's own files to the sums: those of hours that were summed up anew only
// where they are to be added to.
Result<void> RollupTable::add_rows_of(const std::vector<store::ObjectSize>& files,
                                      bool is_rebuild) {
  if (files.empty()) return {};
  if (is_rebuild) {
    MR_TRY(
        engine_->execute("CREATE OR REPLACE TEMP TABLE summed AS SELECT DISTINCT hour FROM sums"));
  }
  const std::string columns =
      fmt::format("hour, site{}{}", definition_->dimension_list(), definition_->measure_list());
  return for_each_group(table_.root(), files, [&](const std::vector<std::string>& paths) {
    return engine_->execute(fmt::format(
        "INSERT INTO sums ({0}) SELECT {0} FROM read_parquet({1}, hive_partitioning = false){2}",
        columns, sql::quote_list(paths),
        is_rebuild ? " WHERE hour NOT IN (SELECT hour FROM summed)" : ""));
  });
}

// Makes `merged` of the sums, once all rows are in them: one row for each key, in the order of the
// files to be written, so that each hour is one piece.
Result<void> RollupTable::merge(bool are_keys_unique) {
  const std::string dimensions = definition_->dimension_list();
  const std::string& first_measure = definition_->measures.front().name;
  return engine_->execute(fmt::format(
      "CREATE OR REPLACE TEMP TABLE merged AS SELECT hour, site{}{} FROM sums {} "
      "ORDER BY hour, site, {} DESC{}",
      dimensions, are_keys_unique ? definition_->measure_list() : definition_->merged_measures(),
      are_keys_unique ? "" : "GROUP BY hour, site" + dimensions,
      sql::quote_identifier(first_measure), dimensions));
}

Result<delta::AddFile> RollupTable::write_hour(Hour hour, std::int64_t rows) {
  const std::string id = random_uuid();
  const ScratchFile local(fmt::format("{}/{}.parquet", scratch_directory_, id));
  const std::string date = date_of(hour);
  MR_TRY(engine_->execute(fmt::format(
      "COPY (SELECT * FROM merged WHERE hour = {}) TO {} (FORMAT parquet, COMPRESSION zstd)",
      hour_literal(hour), sql::quote_text(local.path()))));
  delta::AddFile file{.path = fmt::format("date={}/{}.parquet", date, id),
                      .partition_values = {{"date", date}},
                      .size_bytes = 0,
                      .modified = clock_->now(),
                      .data_change = true,
                      .stats_json = hour_stats(hour, rows)};
  MR_TRY_ASSIGN(const std::uint64_t size_bytes,
                store::upload_file(local.path(), *lake_, table_.root() + '/' + file.path));
  file.size_bytes = static_cast<std::int64_t>(size_bytes);
  return file;
}

}  // namespace millrace::rollup
