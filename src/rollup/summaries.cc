#include "rollup/summaries.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/crash_point.h"
#include "base/time_text.h"

namespace millrace::rollup {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view state_key = "_state.json";
constexpr std::size_t listed_max = 10'000;

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

// By hour, the values of a dimension, the most requested first, each with its requests, errors and
// bytes.
std::string ranking_of(const std::string& dimension, const std::string& rows) {
  return fmt::format(
      "SELECT hour, coalesce({}::VARCHAR, '(none)') AS name, {} AS n, {} AS errors, {} AS bytes "
      "FROM {} GROUP BY hour, name ORDER BY hour, n DESC, name",
      sql::quote_identifier(dimension), saturated_sum("requests"), saturated_sum("errors"),
      saturated_sum("bytes"), rows);
}

std::string summary_key(Hour hour) {
  const std::string text = to_text(hour);  // "2026-01-02T03:..."
  return fmt::format("{}/summary_{}.json", text.substr(0, 10), text.substr(11, 2));
}

void add_saturated(ordered_json& sum, std::int64_t number) {
  std::int64_t total = 0;
  const bool is_over = __builtin_add_overflow(sum.get<std::int64_t>(), number, &total);
  sum = is_over ? std::numeric_limits<std::int64_t>::max() : total;
}

// Adds the rows of ranking_of() to the summaries of their hours, as they come: cutting the lists
// and adding up the hours by SQL's windows took twice as long.
class Ranking final : public sql::RowSink {
 public:
  Ranking(const std::string& dimension, std::map<Hour, ordered_json>& summaries)
      : summaries_(summaries) {
    names_ = std::find_if(std::begin(summary_names), std::end(summary_names),
                          [&](const Names& each) { return each.dimension == dimension; });
    MR_ASSERT(names_ != std::end(summary_names));
  }

  void columns(const std::vector<sql::ResultColumn>&) override {}
  bool row(const sql::ResultRow& row) override {
    outcome_ = add(row);
    return outcome_.has_value();
  }

  // Once all rows are there.
  Result<void> finish() {
    end_hour();
    return outcome_;
  }

 private:
  Result<void> add(const sql::ResultRow& row) {
    if (row.at(0) != hour_text_) MR_TRY(begin_hour(row.at(0)));
    MR_TRY_ASSIGN(const std::int64_t requests, integer(row.at(2)));
    if (gives_totals_) {
      MR_TRY_ASSIGN(const std::int64_t errors, integer(row.at(3)));
      MR_TRY_ASSIGN(const std::int64_t bytes, integer(row.at(4)));
      add_saturated((*summary_)["requests"], requests);
      add_saturated((*summary_)["errors"], errors);
      add_saturated((*summary_)["bytes"], bytes);
    }
    if (counts_.size() == listed_max) {
      add_saturated(rest_, requests);
    } else {
      // Not by counts_[name], which looks for the name among all before: each is there once.
      counts_.Container::emplace_back(row.at(1).value_or(""), requests);
    }
    return {};
  }

  // The first dimension to come says what the hour has in all.
  Result<void> begin_hour(const std::optional<std::string>& text) {
    end_hour();
    MR_TRY_ASSIGN(const Hour hour, parse_hour(text.value_or("")));
    hour_text_ = text;
    summary_ = &summaries_.at(hour);
    rest_ = 0;
    gives_totals_ = summary_->empty();
    if (!gives_totals_) return {};
    *summary_ = {
        {"hour", to_text(hour).substr(0, 19) + "Z"}, {"requests", 0}, {"errors", 0}, {"bytes", 0}};
    return {};
  }

  void end_hour() {
    if (summary_ == nullptr) return;
    (*summary_)[names_->counts] = std::exchange(counts_, {});
    (*summary_)[names_->rest] = rest_;
    summary_ = nullptr;
  }

  std::map<Hour, ordered_json>& summaries_;
  const Names* names_;
  Result<void> outcome_;
  // The hour that rows come of.
  std::optional<std::string> hour_text_;
  ordered_json* summary_ = nullptr;
  bool gives_totals_ = false;
  ordered_json::object_t counts_;
  ordered_json rest_ = 0;
};

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
  MR_TRY_ASSIGN(const auto groups, in_groups(hours, rollups));
  for (const Group& group : groups) {
    MR_TRY_ASSIGN(const auto summaries, summarise(group, rollups));
    for (const auto& [hour, summary] : summaries) {
      if (are_known) {
        // Between this look and the write below another process can still be faster; its next
        // change of the hour makes that good.
        const auto present = analytics_.get(summary_key(hour));
        if (present && is_newer(*present, rollups)) continue;
      }
      MR_TRY(summary.empty() ? analytics_.remove(summary_key(hour))
                             : analytics_.put(summary_key(hour), summary));
      ++count;
    }
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

// A query takes a millisecond or two before it reads anything: 24 hours of 4 rollups took a third
// of a run, one by one. What a group lists is in memory.
Result<std::vector<Summaries::Group>> Summaries::in_groups(
    const Hours& hours, const std::vector<RollupTable>& rollups) const {
  constexpr std::int64_t group_bytes_max = 8 << 20;
  constexpr std::size_t group_hours_max = 24;
  std::map<Hour, std::vector<std::pair<const RollupTable*, const delta::AddFile*>>> files;
  std::set<std::string> dates;
  for (const Hour hour : hours) {
    files[hour];
    dates.insert(date_of(hour));
  }
  for (const RollupTable& rollup : rollups) {
    if (!rollup.definition().is_built_in) continue;
    for (const delta::AddFile* file : files_of(rollup.table().snapshot(), dates)) {
      MR_TRY_ASSIGN(const HourSpan span, hours_of(*file));
      for (auto of_hour = files.lower_bound(span.first);
           of_hour != files.end() && of_hour->first <= span.last; ++of_hour) {
        of_hour->second.emplace_back(&rollup, file);
      }
    }
  }
  std::vector<Group> groups;
  std::int64_t group_bytes = 0;
  for (const auto& [hour, of_hour] : files) {
    std::int64_t bytes = 0;
    for (const auto& [rollup, file] : of_hour) bytes += file->size_bytes;
    if (groups.empty() || group_bytes + bytes > group_bytes_max ||
        groups.back().hours.size() == group_hours_max) {
      groups.emplace_back();
      group_bytes = 0;
    }
    group_bytes += bytes;
    groups.back().hours.insert(hour);
    for (const auto& [rollup, file] : of_hour) groups.back().files[rollup].insert(file);
  }
  return groups;
}

// The text of each hour's summary; empty: none of its records is left.
Result<std::map<Hour, std::string>> Summaries::summarise(const Group& group,
                                                         const std::vector<RollupTable>& rollups) {
  std::map<Hour, ordered_json> summaries;
  for (const Hour hour : group.hours) summaries[hour];
  for (const RollupTable& rollup : rollups) {
    const auto files = group.files.find(&rollup);
    if (files == group.files.end()) continue;
    Ranking ranking(rollup.definition().dimensions.front(), summaries);
    MR_TRY(rank(rollup, files->second, group.hours, ranking));
    MR_TRY(ranking.finish());
  }
  std::map<Hour, std::string> texts;
  for (auto& [hour, summary] : summaries) {
    std::string& text = texts[hour];
    if (summary.empty()) continue;
    for (const RollupTable& rollup : rollups) {
      if (!rollup.definition().is_built_in) continue;
      summary["rollupVersions"][rollup.definition().name] =
          rollup.table().snapshot().version.value();
    }
    text = summary.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  }
  return texts;
}

Result<void> Summaries::rank(const RollupTable& rollup,
                             const std::set<const delta::AddFile*>& files, const Hours& hours,
                             sql::RowSink& ranking) {
  std::vector<store::ObjectSize> sizes;
  for (const delta::AddFile* file : files) {
    sizes.push_back({file->path, static_cast<std::uint64_t>(file->size_bytes)});
  }
  MR_TRY_ASSIGN(const TableFiles opened, open_files(lake_, rollup.table().root(), sizes));
  std::string wanted;
  for (const Hour hour : hours) {
    wanted +=
        fmt::format("{}TIMESTAMPTZ {}", wanted.empty() ? "" : ", ", sql::quote_text(to_text(hour)));
  }
  const std::string from =
      fmt::format("(SELECT * FROM read_parquet({}, hive_partitioning = false) WHERE hour IN ({}))",
                  sql::quote_list(opened.paths), wanted);
  return engine_.query(ranking_of(rollup.definition().dimensions.front(), from), ranking);
}

}  // namespace millrace::rollup
