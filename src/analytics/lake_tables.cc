#include "analytics/lake_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/time_text.h"
#include "rollup/definition.h"

namespace millrace::analytics {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds look_interval{1};
// Whoever comes while somebody looks takes what is not older than this.
constexpr std::chrono::seconds look_age_max{10};
// Where there is none, so long it waits.
constexpr std::chrono::seconds look_wait_max{5};
// So long nobody looks again after a failure.
constexpr std::chrono::seconds failure_interval{2};

constexpr std::size_t commit_times_max = 64;
constexpr const char* source_table = "access_logs";

// What a file's statistics say, as far as they do.
struct FileFacts {
  std::optional<std::uint64_t> records;
  std::optional<Timestamp> oldest;
  std::optional<Timestamp> newest;
};

std::optional<Timestamp> time_in(const json& stats, const char* bounds, const std::string& column) {
  const auto found = stats.find(bounds);
  if (found == stats.end() || !found->is_object()) return std::nullopt;
  const auto time = found->find(column);
  if (time == found->end() || !time->is_string()) return std::nullopt;
  const auto parsed = parse_rfc3339(time->get<std::string>());
  return parsed ? std::optional(*parsed) : std::nullopt;
}

FileFacts facts_of(const delta::AddFile& file, const std::string& time_column) {
  FileFacts facts;
  const json stats = json::parse(file.stats_json, nullptr, false);
  if (!stats.is_object()) return facts;
  if (const auto count = stats.find("numRecords");
      count != stats.end() && count->is_number_unsigned()) {
    facts.records = count->get<std::uint64_t>();
  }
  facts.oldest = time_in(stats, "minValues", time_column);
  facts.newest = time_in(stats, "maxValues", time_column);
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

std::chrono::seconds seconds_between(Timestamp begin, Timestamp end) {
  return std::chrono::floor<std::chrono::seconds>(std::max(begin, end) - begin);
}

// Of a rollup that covers nothing. By the records' own times: merging makes files new.
Lag lag_of_nothing(const delta::Snapshot& source, Timestamp now) {
  const std::string column = arrival_column(source.schema);
  Timestamp oldest = now;
  for (const auto& [path, file] : source.files) {
    oldest = std::min(oldest, facts_of(file, column).oldest.value_or(file.modified));
  }
  return {.versions = source.version.value() + 1, .time = seconds_between(oldest, now)};
}

}  // namespace

LakeTables::Entry& LakeTables::entry(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return tables_[name];
}

std::optional<LakeTables::SharedSnapshot> LakeTables::known(const Entry& entry,
                                                            std::chrono::seconds age_max) {
  const std::lock_guard lock(mutex_);
  if (!entry.looked_at || clock_.monotonic_now() - *entry.looked_at >= age_max) return std::nullopt;
  return entry.snapshot;
}

Result<LakeTables::SharedSnapshot> LakeTables::snapshot(const std::string& name) {
  Entry& found = entry(name);
  if (auto fresh = known(found, look_interval)) return *std::move(fresh);
  std::unique_lock looking(found.looking, std::try_to_lock);
  if (!looking) {
    if (auto older = known(found, look_age_max)) return *std::move(older);
    if (!looking.try_lock_for(look_wait_max)) {
      return fail(Errc::unavailable, fmt::format("{}: reading its log takes long", name));
    }
  }
  if (auto fresh = known(found, look_interval)) return *std::move(fresh);
  if (found.failure && clock_.monotonic_now() - found.failed_at < failure_interval) {
    if (auto older = known(found, look_age_max)) return *std::move(older);
    return tl::unexpected(*found.failure);
  }
  return look(name, found);
}

Result<LakeTables::SharedSnapshot> LakeTables::look(const std::string& name, Entry& entry) {
  const auto start = clock_.monotonic_now();
  const delta::Version before = entry.table ? entry.table->snapshot().version : delta::Version(-1);
  Result<void> looked;
  if (entry.table) {
    looked = entry.table->refresh();
    // It may be another table by now, or none.
    if (!looked) entry.table.reset();
  } else {
    auto opened = delta::DeltaTable::open(lake_, clock_, name);
    if (opened) {
      entry.table = std::make_unique<delta::DeltaTable>(*std::move(opened));
    } else if (opened.error().code != Errc::not_found) {
      looked = tl::unexpected(std::move(opened).error());
    }
  }
  const bool is_newer = entry.table && entry.table->snapshot().version != before;
  SharedSnapshot newer;
  if (is_newer) newer = std::make_shared<const delta::Snapshot>(entry.table->snapshot());
  entry.failure.reset();
  if (!looked) {
    entry.failure = std::move(looked).error();
    entry.failed_at = clock_.monotonic_now();
    if (entry.failure->code == Errc::unavailable) return tl::unexpected(*entry.failure);
  }
  const std::lock_guard lock(mutex_);
  if (is_newer || entry.failure) {
    entry.snapshot = std::move(newer);
    entry.state.reset();
  }
  entry.looked_at.reset();
  if (entry.failure) return tl::unexpected(*entry.failure);
  entry.looked_at = start;
  return entry.snapshot;
}

std::shared_ptr<const TableState> LakeTables::state(const std::string& name,
                                                    const SharedSnapshot& snapshot) {
  Entry& found = entry(name);
  {
    const std::lock_guard lock(mutex_);
    if (found.state && found.snapshot == snapshot) return found.state;
  }
  auto made = std::make_shared<const TableState>(state_of(name, *snapshot));
  const std::lock_guard lock(mutex_);
  if (found.snapshot == snapshot) found.state = made;
  return made;
}

Result<std::optional<Lag>> LakeTables::lag(const std::string& name, const delta::Snapshot& rollup) {
  const rollup::RollupDefinition* definition = definition_of(name);
  if (definition == nullptr) return std::nullopt;
  MR_TRY_ASSIGN(const SharedSnapshot source, snapshot(source_table));
  if (source == nullptr) return std::nullopt;
  const auto covered = rollup.progress.find(definition->progress_id(source->table_id));
  // Below zero: what it had is void.
  if (covered == rollup.progress.end() || covered->second < 0) return std::nullopt;
  Lag lag{.versions = std::max<std::int64_t>(0, source->version.value() - covered->second)};
  if (lag.versions > 0) {
    MR_TRY_ASSIGN(const auto since,
                  committed_at(source->table_id, delta::Version(covered->second + 1)));
    // What is no longer in the log can only be made anew.
    if (!since) return std::nullopt;
    lag.time = seconds_between(*since, clock_.now());
  }
  return lag;
}

Result<std::optional<Timestamp>> LakeTables::committed_at(const std::string& table_id,
                                                          delta::Version version) {
  const auto key = std::make_pair(table_id, version);
  {
    const std::lock_guard lock(mutex_);
    const auto found = commit_times_.find(key);
    if (found != commit_times_.end()) return found->second;
  }
  const auto time = delta::committed_at(lake_, source_table, version);
  if (!time && time.error().code == Errc::not_found) return std::nullopt;
  if (!time) return tl::unexpected(time.error());
  const std::lock_guard lock(mutex_);
  if (commit_times_.size() >= commit_times_max) commit_times_.erase(commit_times_.begin());
  commit_times_.emplace(key, *time);
  return *time;
}

Result<TableFiles> LakeTables::describe(const std::string& name, const delta::Snapshot& snapshot) {
  TableFiles described{.root = name,
                       .table_id = snapshot.table_id,
                       .version = snapshot.version,
                       .schema = snapshot.schema};
  MR_TRY_ASSIGN(described.lag, lag(name, snapshot));
  return described;
}

Result<std::optional<TableFiles>> LakeTables::files(const std::string& name,
                                                    const query::RecordFilter& filter) {
  MR_TRY_ASSIGN(const SharedSnapshot found, snapshot(name));
  if (found == nullptr) return std::nullopt;
  MR_TRY_ASSIGN(TableFiles described, describe(name, *found));
  for (const auto& [path, file] : found->files) {
    if (query::may_hold(file, described.schema, filter)) described.files.push_back(file);
  }
  return described;
}

Result<std::optional<TableFiles>> LakeTables::newest_files(const std::string& name,
                                                           const std::vector<std::string>& sites) {
  MR_TRY_ASSIGN(const SharedSnapshot found, snapshot(name));
  if (found == nullptr) return std::nullopt;
  MR_TRY_ASSIGN(TableFiles described, describe(name, *found));
  const std::string column = arrival_column(described.schema);
  std::vector<std::pair<FileFacts, const delta::AddFile*>> files;
  for (const auto& [path, file] : found->files) {
    const auto may_hold = [&](const std::string& site) {
      return query::may_hold(file, described.schema, {.from = {}, .to = {}, .site = site});
    };
    if (!sites.empty() && std::ranges::none_of(sites, may_hold)) continue;
    files.emplace_back(facts_of(file, column), &file);
  }
  std::ranges::sort(files, [](const auto& left, const auto& right) {
    return left.first.newest > right.first.newest;
  });
  for (const auto& [facts, file] : files) {
    described.files.push_back(*file);
    described.records.push_back(facts.records.value_or(0));
  }
  return described;
}

Result<std::vector<TableState>> LakeTables::states() {
  std::vector<std::string> names = {source_table, "dead_letters"};
  for (const auto& definition : rollup::built_in_rollups()) names.push_back(definition.name);
  MR_TRY_ASSIGN(const SharedSnapshot source, snapshot(source_table));
  const bool has_records = source != nullptr && !source->files.empty();
  std::vector<TableState> states;
  for (const std::string& name : names) {
    const bool is_awaited = has_records && definition_of(name) != nullptr;
    MR_TRY_ASSIGN(const SharedSnapshot found, snapshot(name));
    if (found == nullptr && !is_awaited) continue;
    TableState& now =
        states.emplace_back(found == nullptr ? TableState{.name = name} : *state(name, found));
    if (found != nullptr) {
      MR_TRY_ASSIGN(now.lag, lag(name, *found));
    }
    if (is_awaited && !now.lag) now.lag = lag_of_nothing(*source, clock_.now());
  }
  return states;
}

}  // namespace millrace::analytics
