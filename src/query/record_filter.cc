#include "query/record_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/time_text.h"
#include "sql/engine.h"

namespace millrace::query {

namespace {

using Json = nlohmann::json;

constexpr const char* site_column = "site";

bool has_column(const columnar::TableSchema& schema, std::string_view name) {
  return std::any_of(schema.columns.begin(), schema.columns.end(),
                     [&](const auto& column) { return column.name == name; });
}

std::optional<std::string> text_at(const Json& stats, const char* bounds, const std::string& name) {
  if (!stats.is_object() || !stats.contains(bounds) || !stats[bounds].is_object()) return {};
  const Json& values = stats[bounds];
  if (!values.contains(name) || !values[name].is_string()) return {};
  return values[name].get<std::string>();
}

std::optional<Timestamp> time_at(const Json& stats, const char* bounds, const std::string& name) {
  const auto text = text_at(stats, bounds, name);
  if (!text) return {};
  const auto time = parse_rfc3339(*text);
  return time ? std::optional(*time) : std::nullopt;
}

// The day that the file's partition says; its times are of that day where the table's own time is
// what it is partitioned by.
std::optional<Day> day_of_partition(const delta::AddFile& file) {
  const auto value = file.partition_values.find("date");
  if (value == file.partition_values.end() || !value->second) return {};
  const auto day = parse_iso_date(*value->second);
  return day ? std::optional(*day) : std::nullopt;
}

}  // namespace

std::string time_column(const columnar::TableSchema& schema) {
  for (const char* name : {"timestamp", "hour", "received_at"}) {
    if (has_column(schema, name)) return name;
  }
  return "";
}

bool may_hold(const delta::AddFile& file, const columnar::TableSchema& schema,
              const RecordFilter& filter) {
  const std::string time = time_column(schema);
  if (const auto day = day_of_partition(file); day && !time.empty()) {
    if (filter.from && *day + std::chrono::days(1) <= *filter.from) return false;
    if (filter.to && *day >= *filter.to) return false;
  }
  const Json stats = Json::parse(file.stats_json, nullptr, false);
  if (!time.empty()) {
    const auto first = time_at(stats, "minValues", time);
    const auto last = time_at(stats, "maxValues", time);
    // Other writers round the greatest time down to milliseconds.
    if (filter.from && last && *last + std::chrono::milliseconds(1) <= *filter.from) return false;
    if (filter.to && first && *first >= *filter.to) return false;
  }
  if (filter.site && has_column(schema, site_column)) {
    const auto least = text_at(stats, "minValues", site_column);
    const auto greatest = text_at(stats, "maxValues", site_column);
    if (least && *filter.site < *least) return false;
    if (greatest && *filter.site > *greatest) return false;
  }
  return true;
}

std::string sql_condition(const columnar::TableSchema& schema, const RecordFilter& filter) {
  std::string condition = "true";
  const std::string time = time_column(schema);
  const auto compare_time = [&](const char* comparison, const std::optional<Timestamp>& bound) {
    if (!bound || time.empty()) return;
    condition += fmt::format(" AND {} {} TIMESTAMPTZ {}", sql::quote_identifier(time), comparison,
                             sql::quote_text(to_rfc3339(*bound)));
  };
  compare_time(">=", filter.from);
  compare_time("<", filter.to);
  if (filter.site && has_column(schema, site_column)) {
    condition += fmt::format(" AND {} = {}", site_column, sql::quote_text(*filter.site));
  }
  return condition;
}

}  // namespace millrace::query
