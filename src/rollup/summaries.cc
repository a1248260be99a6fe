#include "rollup/summaries.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/crash_point.h"
#include "base/time_text.h"

namespace millrace::rollup {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view state_key = "_state.json";
constexpr int listed_max = 10'000;

// What a dimension is called in a summary.
struct Names {
  std::string_view dimension;
  const char* counts;
  const char* rest;
};
constexpr Names summary_names[] = {{"path", "requestsPerPath", "otherPaths"},
                                   {"user_agent", "requestsPerUserAgent", "otherUserAgents"},
                                   {"status", "requestsPerStatus", "otherStatuses"}};

std::int64_t integer(const std::optional<std::string>& text) {
  return std::stoll(text.value_or("0"));
}

std::string summary_key(Hour hour) {
  const std::string text = to_text(hour);  // "2026-01-02T03:..."
  return fmt::format("{}/summary_{}.json", text.substr(0, 10), text.substr(11, 2));
}

}  // namespace

Result<std::map<std::string, std::int64_t>> Summaries::read_state() {
  std::map<std::string, std::int64_t> state;
  const auto text = analytics_.get(state_key);
  if (!text && text.error().code != Errc::not_found) return tl::unexpected(text.error());
  // One that is missing or damaged costs deriving all of it again.
  const auto json = text ? ordered_json::parse(*text, nullptr, false) : ordered_json();
  if (!json.is_object()) return state;
  for (const auto& [name, version] : json.items()) {
    if (version.is_number_integer()) state[name] = version.get<std::int64_t>();
  }
  return state;
}

Result<std::size_t> Summaries::derive(std::vector<RollupTable>& rollups) {
  MR_TRY_ASSIGN(const auto state, read_state());
  Hours hours;
  FilesByHour files;
  ordered_json new_state;
  bool is_changed = false;
  for (RollupTable& rollup : rollups) {
    const std::string& name = rollup.definition().name;
    const std::int64_t version = rollup.table().snapshot().version.value();
    const auto derived = state.find(name);
    new_state[name] = version;
    MR_TRY_ASSIGN(files[name], files_by_hour(rollup.table().snapshot()));
    if (derived != state.end() && derived->second == version) continue;
    is_changed = true;
    // A table that has gone back is another one by the same name: all of it is new.
    const bool is_known = derived != state.end() && derived->second < version;
    MR_TRY(add_changed_hours(rollup, is_known ? derived->second : -1, hours));
  }
  if (!is_changed) return 0;
  for (const Hour hour : hours) MR_TRY(write_summary(hour, rollups, files));
  crash_point("rollup.after_summary");
  MR_TRY(analytics_.put(state_key, new_state.dump() + "\n"));
  return hours.size();
}

Result<void> Summaries::add_changed_hours(RollupTable& rollup, std::int64_t derived, Hours& hours) {
  const auto changes = rollup.table().changes_after(delta::Version(derived));
  if (!changes && changes.error().code != Errc::not_found) return tl::unexpected(changes.error());
  MR_TRY_ASSIGN(const auto files, files_by_hour(rollup.table().snapshot()));
  if (!changes) {
    for (const auto& [hour, file] : files) hours.insert(hour);
    return {};
  }
  for (const auto& version : *changes) {
    for (const auto& file : version.adds) {
      MR_TRY_ASSIGN(const Hour hour, hour_of(file));
      hours.insert(hour);
    }
    // An hour that lost its last record has no file any more; its day says where to look. Hours
    // that still have one are among the adds if they changed.
    for (const auto& file : version.removes) {
      const auto date = file.partition_values.find("date");
      if (date == file.partition_values.end() || !date->second) continue;
      MR_TRY_ASSIGN(const Day day, parse_iso_date(*date->second));
      for (int hour = 0; hour < 24; ++hour) {
        const Hour candidate = Hour(day) + std::chrono::hours(hour);
        if (files.contains(candidate)) continue;
        const auto summary = analytics_.head(summary_key(candidate));
        if (summary) hours.insert(candidate);
      }
    }
  }
  return {};
}

Result<void> Summaries::write_summary(Hour hour, std::vector<RollupTable>& rollups,
                                      const FilesByHour& files) {
  ordered_json summary = {{"hour", to_text(hour).substr(0, 19) + "Z"}};
  bool has_totals = false;
  for (RollupTable& rollup : rollups) {
    const RollupDefinition& definition = rollup.definition();
    const auto& of_rollup = files.at(definition.name);
    const auto file = of_rollup.find(hour);
    if (file == of_rollup.end()) continue;
    for (const Names& names : summary_names) {
      if (names.dimension != definition.dimension) continue;
      MR_TRY_ASSIGN(const std::string path,
                    lake_.local_path(rollup.table().root() + '/' + file->second.path));
      const std::string from =
          fmt::format("read_parquet([{}], hive_partitioning = false)", sql::quote_text(path));
      MR_TRY_ASSIGN(const auto totals,
                    engine_.rows("SELECT sum(requests), sum(errors), sum(bytes) FROM " + from));
      if (!has_totals) {
        summary["requests"] = integer(totals.at(0).at(0));
        summary["errors"] = integer(totals.at(0).at(1));
        summary["bytes"] = integer(totals.at(0).at(2));
        has_totals = true;
      }
      MR_TRY_ASSIGN(
          const auto rows,
          engine_.rows(fmt::format("SELECT coalesce({}::VARCHAR, '(none)') AS name, "
                                   "sum(requests)::BIGINT AS n FROM {} GROUP BY name "
                                   "ORDER BY n DESC, name LIMIT {}",
                                   sql::quote_identifier(definition.dimension), from, listed_max)));
      ordered_json counts = ordered_json::object();
      std::int64_t rest = integer(totals.at(0).at(0));
      for (const auto& row : rows) {
        counts[row.at(0).value_or("")] = integer(row.at(1));
        rest -= integer(row.at(1));
      }
      summary[names.counts] = std::move(counts);
      summary[names.rest] = rest;
    }
    summary["rollupVersions"][definition.name] = rollup.table().snapshot().version.value();
  }
  if (!has_totals) return analytics_.remove(summary_key(hour));
  return analytics_.put(summary_key(hour),
                        summary.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace millrace::rollup
