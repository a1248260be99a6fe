#include "rollup/summaries.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
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
                                   {"status", "requestsPerStatus", "otherStatuses"},
                                   {"bot", "requestsPerBot", "otherBots"}};

Result<std::int64_t> integer(const std::optional<std::string>& text) {
  std::int64_t value = 0;
  const std::string digits = text.value_or("0");
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size()) return value;
  return fail(Errc::corrupt, fmt::format("a sum of a rollup is not a number: {}", digits));
}

// Whether a summary that is there was made from a newer version of one of the rollups.
bool is_newer(const std::string& text, const std::vector<RollupTable>& rollups) {
  const auto summary = ordered_json::parse(text, nullptr, false);
  if (!summary.is_object() || !summary.contains("rollupVersions")) return false;
  const ordered_json& versions = summary["rollupVersions"];
  return std::any_of(rollups.begin(), rollups.end(), [&](const RollupTable& rollup) {
    const auto version = versions.find(rollup.definition().name);
    return version != versions.end() && version->is_number_integer() &&
           version->get<std::int64_t>() > rollup.table().snapshot().version.value();
  });
}

// The values of a dimension, the most requested first, each with its requests and with what the
// hour has in all: requests, errors and bytes.
std::string ranking_of(const std::string& dimension, const std::string& rows) {
  return fmt::format(
      "SELECT name, n, {}, {}, {} FROM (SELECT coalesce({}::VARCHAR, '(none)') AS name, {} AS n, "
      "{} AS errors, {} AS bytes FROM {} GROUP BY name) ORDER BY n DESC, name LIMIT {}",
      saturated_sum("n", " OVER ()"), saturated_sum("errors", " OVER ()"),
      saturated_sum("bytes", " OVER ()"), sql::quote_identifier(dimension),
      saturated_sum("requests"), saturated_sum("errors"), saturated_sum("bytes"), rows, listed_max);
}

std::string summary_key(Hour hour) {
  const std::string text = to_text(hour);  // "2026-01-02T03:..."
  return fmt::format("{}/summary_{}.json", text.substr(0, 10), text.substr(11, 2));
}

}  // namespace

Result<std::map<std::string, Summaries::Derived>> Summaries::read_state() {
  std::map<std::string, Derived> state;
  const auto text = analytics_.get(state_key);
  if (!text && text.error().code != Errc::not_found) return tl::unexpected(text.error());
  // One that is missing or damaged costs deriving all of it again.
  const auto json = text ? ordered_json::parse(*text, nullptr, false) : ordered_json();
  if (!json.is_object()) return state;
  for (const auto& [name, derived] : json.items()) {
    if (!derived.is_object()) continue;
    const auto id = derived.find("tableId");
    const auto version = derived.find("version");
    if (id == derived.end() || !id->is_string()) continue;
    if (version == derived.end() || !version->is_number_integer()) continue;
    state[name] = {id->get<std::string>(), version->get<std::int64_t>()};
  }
  return state;
}

Result<std::size_t> Summaries::derive(std::vector<RollupTable>& rollups) {
  MR_TRY_ASSIGN(const auto state, read_state());
  Hours hours;
  ordered_json new_state;
  bool is_changed = false;
  bool are_known = true;
  for (RollupTable& rollup : rollups) {
    if (!rollup.definition().is_built_in) continue;
    const std::string& name = rollup.definition().name;
    const delta::Snapshot& snapshot = rollup.table().snapshot();
    const auto derived = state.find(name);
    const bool is_same_table =
        derived != state.end() && derived->second.table_id == snapshot.table_id;
    // Another process is ahead.
    if (is_same_table && derived->second.version > snapshot.version.value()) {
      MR_TRY(rollup.table().refresh());
    }
    const std::int64_t version = snapshot.version.value();
    new_state[name] = {{"tableId", snapshot.table_id}, {"version", version}};
    const bool is_known = is_same_table && derived->second.version <= version;
    are_known = are_known && is_known;
    if (is_known && derived->second.version == version) continue;
    is_changed = true;
    MR_TRY(add_changed_hours(rollup, is_known ? derived->second.version : -1, hours));
  }
  if (!is_changed) return 0;
  std::size_t count = 0;
  for (const Hour hour : hours) {
    if (are_known) {
      // Between this look and the write below another process can still be faster; its next
      // change of the hour makes that good.
      const auto present = analytics_.get(summary_key(hour));
      if (present && is_newer(*present, rollups)) continue;
    }
    MR_TRY(write_summary(hour, rollups));
    ++count;
  }
  crash_point("rollup.after_summary");
  // Whoever wrote the newer ones says how far that was.
  if (count < hours.size()) return count;
  MR_TRY(analytics_.put(state_key, new_state.dump() + "\n"));
  return count;
}

Result<void> Summaries::add_changed_hours(RollupTable& rollup, std::int64_t derived, Hours& hours) {
  const auto changes = rollup.table().changes_after(delta::Version(derived));
  if (!changes && changes.error().code != Errc::not_found) return tl::unexpected(changes.error());
  const auto add = [&hours](const delta::AddFile& file) -> Result<void> {
    MR_TRY_ASSIGN(const HourSpan span, hours_of(file));
    for (Hour hour = span.first; hour <= span.last; hour += std::chrono::hours(1)) {
      hours.insert(hour);
    }
    return {};
  };
  const auto& snapshot = rollup.table().snapshot();
  if (!changes) {
    for (const auto& [path, file] : snapshot.files) MR_TRY(add(file));
    return {};
  }
  std::set<std::string> dates;
  for (const auto& version : *changes) {
    for (const auto& file : version.adds) {
      if (file.data_change) MR_TRY(add(file));
    }
    for (const auto& file : version.removes) {
      if (file.data_change) dates.insert(partition_date(file.partition_values));
    }
  }
  // An hour that lost its last record has no file any more; its day says where to look. Hours that
  // still have one are among the adds if they changed.
  for (const std::string& date : dates) {
    if (date.empty()) continue;
    Hours with_files;
    for (const delta::AddFile* file : files_of(snapshot, {date})) {
      MR_TRY_ASSIGN(const HourSpan span, hours_of(*file));
      for (Hour hour = span.first; hour <= span.last; hour += std::chrono::hours(1)) {
        with_files.insert(hour);
      }
    }
    MR_TRY_ASSIGN(const Day day, parse_iso_date(date));
    for (int i = 0; i < 24; ++i) {
      const Hour hour = Hour(day) + std::chrono::hours(i);
      if (!with_files.contains(hour) && analytics_.head(summary_key(hour))) hours.insert(hour);
    }
  }
  return {};
}

// The files that may have rows of one hour.
Result<TableFiles> Summaries::open_hour(const RollupTable& rollup, Hour hour) {
  std::vector<store::ObjectSize> files;
  for (const delta::AddFile* file : files_of(rollup.table().snapshot(), {date_of(hour)})) {
    MR_TRY_ASSIGN(const HourSpan span, hours_of(*file));
    if (span.contains(hour)) {
      files.push_back({file->path, static_cast<std::uint64_t>(file->size_bytes)});
    }
  }
  return open_files(lake_, rollup.table().root(), files);
}

Result<void> Summaries::write_summary(Hour hour, std::vector<RollupTable>& rollups) {
  ordered_json summary = {{"hour", to_text(hour).substr(0, 19) + "Z"}};
  bool has_totals = false;
  for (RollupTable& rollup : rollups) {
    const RollupDefinition& definition = rollup.definition();
    if (!definition.is_built_in) continue;
    MR_TRY_ASSIGN(const TableFiles opened, open_hour(rollup, hour));
    if (opened.paths.empty()) continue;
    const std::string from = fmt::format(
        "(SELECT * FROM read_parquet({}, hive_partitioning = false) WHERE hour = TIMESTAMPTZ {})",
        sql::quote_list(opened.paths), sql::quote_text(to_text(hour)));
    for (const Names& names : summary_names) {
      if (names.dimension != definition.dimensions.front()) continue;
      MR_TRY_ASSIGN(const auto rows, engine_.rows(ranking_of(definition.dimensions.front(), from)));
      if (rows.empty()) continue;  // None of its files' rows is of this hour.
      const auto& first = rows.front();
      if (!has_totals) {
        MR_TRY_ASSIGN(summary["requests"], integer(first.at(2)));
        MR_TRY_ASSIGN(summary["errors"], integer(first.at(3)));
        MR_TRY_ASSIGN(summary["bytes"], integer(first.at(4)));
        has_totals = true;
      }
      MR_TRY_ASSIGN(std::int64_t rest, integer(first.at(2)));
      // Not by counts[name], which looks for the name among all before: each is there once.
      ordered_json::object_t counts;
      for (const auto& row : rows) {
        MR_TRY_ASSIGN(const std::int64_t requests, integer(row.at(1)));
        counts.Container::emplace_back(row.at(0).value_or(""), requests);
        rest -= requests;
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
