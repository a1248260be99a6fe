#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "record/record.h"

namespace millrace::record {

// What a field of an incoming record can become. The columns stand in the order of the canonical
// form and of the table access_logs.
enum class Column : std::uint8_t {
  timestamp,
  site,
  path,
  query,
  method,
  host,
  referrer,
  user_agent,
  client_ip,
  protocol,
  country,
  status,
  bytes,
  duration_us,
  attributes,
};

inline constexpr std::size_t column_count = 15;

constexpr std::size_t index_of(Column column) { return static_cast<std::size_t>(column); }

std::string_view name_of(Column column);

// The column of that canonical name.
std::optional<Column> column_of(std::string_view name);

// The member of Record that holds a column; nullptr for columns of other types.
using TextMember = std::optional<std::string_view> Record::*;
constexpr TextMember text_member(Column column) {
  switch (column) {
    case Column::site: return &Record::site;
    case Column::query: return &Record::query;
    case Column::method: return &Record::method;
    case Column::host: return &Record::host;
    case Column::referrer: return &Record::referrer;
    case Column::user_agent: return &Record::user_agent;
    case Column::client_ip: return &Record::client_ip;
    case Column::protocol: return &Record::protocol;
    case Column::country: return &Record::country;
    default: return nullptr;
  }
}

// A name under which clients send a column.
struct Alias {
  std::string_view name;
  Column column = Column::attributes;
  // 10^unit_exponent of the sender's unit make one of the column's: -3 for nanoseconds.
  std::int8_t unit_exponent = 0;
  // Among the names of one column, the smallest rank wins where a record has several.
  std::uint8_t rank = 0;
};

// The alias of a name as a client wrote it, or nullptr for an unknown field. Exact names come
// first; otherwise case does not matter and ' ' and '-' are as good as '_'. Valid for ever.
const Alias* find_alias(std::string_view name);

// All names of a column, best first, joined as "timestamp, time, ts": for messages.
std::string_view alias_list(Column column);

}  // namespace millrace::record
