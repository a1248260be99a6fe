#include "analytics/lake_tables.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/time_text.h"
#include "rollup/definition.h"

namespace millrace::analytics {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds look_interval{1};
constexpr const char* source_table = "access_logs";

// What a file's statistics say, as far as they do.
struct FileFacts {
  std::optional<std::uint64_t> records;
  std::optional<Timestamp> newest;
};

FileFacts facts_of(const delta::AddFile& file, const std::string& time_column) {
  FileFacts facts;
  const json stats = json::parse(file.stats_json, nullptr, false);
  if (!stats.is_object()) return facts;
  if (const auto count = stats.find("numRecords");
      count != stats.end() && count->is_number_unsigned()) {
    facts.records = count->get<std::uint64_t>();
  }
  const auto bounds = stats.find("maxValues");
  if (bounds == stats.end() || !bounds->is_object()) return facts;
  const auto newest = bounds->find(time_column);
  if (newest != bounds->end() && newest->is_string()) {
    if (const auto time = parse_rfc3339(newest->get<std::string>())) facts.newest = *time;
  }
  return facts;
}

// When a record came to be known: not when a request was served, which its sender says.
std::string arrival_column(const columnar::TableSchema& schema) {
  const bool has_arrival = std::ranges::any_of(
      schema.columns, [](const auto& column) { return column.name == "received_at"; });
  return has_arrival ? "received_at" : "hour";
}

TableState state_of(const std::string& name, const delta::Snapshot& snapshot) {
  const std::string column = arrival_column(snapshot.schema);
  TableState state{.name = name, .version = snapshot.version, .files = snapshot.files.size()};
  std::uint64_t records = 0;
  bool are_all_known = true;
  for (const auto& [path, file] : snapshot.files) {
    state.bytes += static_cast<std::uint64_t>(file.size_bytes);
    const FileFacts facts = facts_of(file, column);
    records += facts.records.value_or(0);
    are_all_known = are_all_known && facts.records;
    state.newest_record = std::max(state.newest_record, facts.newest);
    if (file.data_change)
      state.newest_file = std::max(state.newest_file, std::optional(file.modified));
  }
  if (are_all_known) state.records = records;
  return state;
}

const rollup::RollupDefinition* definition_of(const std::string& name) {
  const auto& all = rollup::built_in_rollups();
  const auto found =
      std::ranges::find_if(all, [&](const auto& definition) { return definition.name == name; });
  return found == all.end() ? nullptr : &*found;
}

// From when on what the source got is not in the rollup, about: neither log has the time at which a
// version of the other was committed.
std::chrono::seconds time_behind(const delta::Snapshot& rollup, const delta::Snapshot& source,
                                 Timestamp now) {
  Timestamp newest = Timestamp::min();
  for (const auto& [path, file] : rollup.files) newest = std::max(newest, file.modified);
  Timestamp first_missing = now;
  for (const auto& [path, file] : source.files) {
    if (file.modified > newest) first_missing = std::min(first_missing, file.modified);
  }
  return std::chrono::duration_cast<std::chrono::seconds>(now - first_missing);
}

}  // namespace

Result<LakeTables::Open*> LakeTables::open(const std::string& name) {
  const auto now = clock_.monotonic_now();
  const auto [entry, is_new] = tables_.try_emplace(name);
  Open& open = entry->second;
  if (!is_new && now - open.looked_at < look_interval) return open.table ? &open : nullptr;
  if (!open.table) {
    auto table = delta::DeltaTable::open(lake_, clock_, name);
    if (!table && table.error().code != Errc::not_found) return tl::unexpected(table.error());
    if (table) open.table = std::make_unique<delta::DeltaTable>(*std::move(table));
  } else {
    const delta::Version before = open.table->snapshot().version;
    if (const auto refreshed = open.table->refresh(); !refreshed) {
      // It may be another table by now, or none.
      tables_.erase(entry);
      return tl::unexpected(refreshed.error());
    }
    if (open.table->snapshot().version != before) open.state.reset();
  }
  open.looked_at = now;
  return open.table ? &open : nullptr;
}

Result<std::optional<Lag>> LakeTables::lag(const std::string& name, const delta::Snapshot& rollup) {
  const rollup::RollupDefinition* definition = definition_of(name);
  if (definition == nullptr) return std::nullopt;
  MR_TRY_ASSIGN(const Open* source, open(source_table));
  if (source == nullptr) return std::nullopt;
  const delta::Snapshot& snapshot = source->table->snapshot();
  const auto covered = rollup.progress.find(definition->progress_id(snapshot.table_id));
  // Below zero: what it had is void.
  if (covered == rollup.progress.end() || covered->second < 0) return std::nullopt;
  Lag lag{.versions = std::max<std::int64_t>(0, snapshot.version.value() - covered->second)};
  if (lag.versions > 0) lag.time = time_behind(rollup, snapshot, clock_.now());
  return lag;
}

Result<TableFiles> LakeTables::describe(const std::string& name, const delta::DeltaTable& table) {
  const delta::Snapshot& snapshot = table.snapshot();
  TableFiles described{.root = table.root(),
                       .table_id = snapshot.table_id,
                       .version = snapshot.version,
                       .schema = snapshot.schema};
  MR_TRY_ASSIGN(described.lag, lag(name, snapshot));
  return described;
}

Result<std::optional<TableFiles>> LakeTables::files(const std::string& name,
                                                    const query::RecordFilter& filter) {
  const std::lock_guard lock(mutex_);
  MR_TRY_ASSIGN(const Open* found, open(name));
  if (found == nullptr) return std::nullopt;
  MR_TRY_ASSIGN(TableFiles described, describe(name, *found->table));
  for (const auto& [path, file] : found->table->snapshot().files) {
    if (query::may_hold(file, described.schema, filter)) described.files.push_back(file);
  }
  return described;
}

Result<std::optional<TableFiles>> LakeTables::newest_files(const std::string& name,
                                                           std::uint64_t records_min,
                                                           const query::RecordFilter& filter) {
  const std::lock_guard lock(mutex_);
  MR_TRY_ASSIGN(const Open* found, open(name));
  if (found == nullptr) return std::nullopt;
  MR_TRY_ASSIGN(TableFiles described, describe(name, *found->table));
  const std::string column = arrival_column(described.schema);
  std::vector<std::pair<FileFacts, const delta::AddFile*>> files;
  for (const auto& [path, file] : found->table->snapshot().files) {
    if (!query::may_hold(file, described.schema, filter)) continue;
    files.emplace_back(facts_of(file, column), &file);
  }
  std::ranges::sort(files, [](const auto& left, const auto& right) {
    return left.first.newest > right.first.newest;
  });
  std::uint64_t records = 0;
  for (const auto& [facts, file] : files) {
    if (records >= records_min) break;
    described.files.push_back(*file);
    records += facts.records.value_or(0);
  }
  return described;
}

Result<std::vector<TableState>> LakeTables::states() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names = {source_table, "dead_letters"};
  for (const auto& definition : rollup::built_in_rollups()) names.push_back(definition.name);
  std::vector<TableState> states;
  for (const std::string& name : names) {
    MR_TRY_ASSIGN(Open * found, open(name));
    if (found == nullptr) continue;
    const delta::Snapshot& snapshot = found->table->snapshot();
    if (!found->state) found->state = state_of(name, snapshot);
    TableState state = *found->state;
    MR_TRY_ASSIGN(state.lag, lag(name, snapshot));
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace millrace::analytics
