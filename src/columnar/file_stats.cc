#include "columnar/file_stats.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include <nlohmann/json.hpp>

#include "base/time_text.h"

namespace millrace::columnar {
namespace {

using nlohmann::json;

constexpr std::size_t bound_characters_max = 32;
constexpr std::string_view last_character = "\xF4\x8F\xBF\xBF";  // U+10FFFF.
constexpr char last_ascii_character = '\x7F';

// The first bound_characters_max characters of `value`.
std::string_view head_of(std::string_view value) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const bool starts_character = (static_cast<unsigned char>(value[i]) & 0xC0) != 0x80;
    if (starts_character && ++characters > bound_characters_max) return value.substr(0, i);
  }
  return value;
}

std::optional<std::string> time_text(std::chrono::sys_time<std::chrono::milliseconds> time) {
  using std::chrono::days;
  static const Day first = Day(std::chrono::year(0) / 1 / 1);
  static const Day last = Day(std::chrono::year(9999) / 12 / 31);
  if (time < first || time >= last + days(1)) return std::nullopt;
  constexpr std::size_t size_to_milliseconds = sizeof("2026-11-24T08:17:13.000") - 1;
  return to_rfc3339(time).substr(0, size_to_milliseconds) + "Z";
}

struct Bounds {
  std::optional<json> lower;
  std::optional<json> upper;
};

Bounds bounds_of(const StringColumn& column) {
  if (column.dictionary.size() == 0) return {};
  // Every value of the dictionary is a row's. string_view compares as unsigned bytes.
  std::string_view lower = column.dictionary.value(0);
  std::string_view upper = lower;
  for (std::size_t id = 1; id < column.dictionary.size(); ++id) {
    const std::string_view value = column.dictionary.value(static_cast<std::int32_t>(id));
    lower = std::min(lower, value);
    upper = std::max(upper, value);
  }
  return {string_lower_bound(lower), string_upper_bound(upper)};
}

template <typename Number>
Bounds bounds_of(ColumnType type, const NumberColumn<Number>& column) {
  Number lower = std::numeric_limits<Number>::max();
  Number upper = std::numeric_limits<Number>::min();
  for (std::size_t row = 0; row < column.size(); ++row) {
    if (column.is_valid[row] == 0) continue;
    lower = std::min(lower, column.values[row]);
    upper = std::max(upper, column.values[row]);
  }
  if (lower > upper) return {};
  if (type == ColumnType::timestamp) {
    return {time_lower_bound(Timestamp(std::chrono::microseconds(lower))),
            time_upper_bound(Timestamp(std::chrono::microseconds(upper)))};
  }
  if (type == ColumnType::date) {
    return {to_iso_date(Day(std::chrono::days(lower))), to_iso_date(Day(std::chrono::days(upper)))};
  }
  return {lower, upper};
}

Bounds bounds_of(const Column& column, const ColumnBuffer& buffer) {
  if (const auto* strings = std::get_if<StringColumn>(&buffer)) return bounds_of(*strings);
  if (const auto* small = std::get_if<NumberColumn<std::int32_t>>(&buffer)) {
    return bounds_of(column.type, *small);
  }
  if (const auto* large = std::get_if<NumberColumn<std::int64_t>>(&buffer)) {
    return bounds_of(column.type, *large);
  }
  return {};
}

}  // namespace

std::string stats_json(const std::vector<Column>& columns, const std::vector<ColumnBuffer>& buffers,
                       std::size_t rows) {
  json min_values = json::object();
  json max_values = json::object();
  json null_counts = json::object();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string& name = columns[i].name;
    null_counts[name] =
        std::visit([](const auto& buffer) { return buffer.null_count; }, buffers[i]);
    Bounds bounds = bounds_of(columns[i], buffers[i]);
    if (bounds.lower) min_values[name] = *std::move(bounds.lower);
    if (bounds.upper) max_values[name] = *std::move(bounds.upper);
  }
  const json stats = {{"numRecords", rows},
                      {"minValues", std::move(min_values)},
                      {"maxValues", std::move(max_values)},
                      {"nullCount", std::move(null_counts)}};
  return stats.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string string_lower_bound(std::string_view value) { return std::string(head_of(value)); }

std::optional<std::string> string_upper_bound(std::string_view value) {
  const std::string_view head = head_of(value);
  std::string bound(head);
  if (head.size() == value.size()) return bound;
  // One character that sorts after the first one cut off.
  const std::string_view rest = value.substr(head.size());
  const auto next = static_cast<unsigned char>(rest.front());
  if (next < static_cast<unsigned char>(last_ascii_character)) return bound + last_ascii_character;
  if (!rest.starts_with(last_character)) return bound.append(last_character);
  return std::nullopt;
}

std::optional<std::string> time_lower_bound(Timestamp time) {
  return time_text(std::chrono::floor<std::chrono::milliseconds>(time));
}

std::optional<std::string> time_upper_bound(Timestamp time) {
  return time_text(std::chrono::ceil<std::chrono::milliseconds>(time));
}

}  // namespace millrace::columnar
