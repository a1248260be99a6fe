#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "columnar/string_dictionary.h"
#include "columnar/table_schema.h"

namespace millrace::columnar {

// The values of one column of the rows collected so far, one per row. Plain data: file_builder.cc
// appends, arrow_columns.cc and file_stats.cc read.

struct StringColumn {
  static constexpr std::int32_t null_id = -1;

  StringDictionary dictionary;
  std::vector<std::int32_t> ids;  // In the dictionary, or null_id.
  std::size_t null_count = 0;

  std::size_t size() const { return ids.size(); }
  void append_null();
  std::size_t memory_bytes() const;
};

// Dates are days, timestamps microseconds since 1970.
template <typename Number>
struct NumberColumn {
  std::vector<Number> values;          // 0 where null.
  std::vector<std::uint8_t> is_valid;  // As long as `values`.
  std::size_t null_count = 0;

  std::size_t size() const { return values.size(); }
  void append(Number value) {
    values.push_back(value);
    is_valid.push_back(1);
  }
  void append_null();
  std::size_t memory_bytes() const;
};

struct MapColumn {
  StringDictionary strings;             // Names and values.
  std::vector<std::int32_t> entry_ids;  // Name, value, name, value ...
  std::vector<std::size_t> ends;        // Of each row's part of entry_ids.
  std::vector<std::uint8_t> is_valid;   // As long as `ends`.
  std::size_t null_count = 0;

  std::size_t size() const { return ends.size(); }
  std::size_t start(std::size_t row) const { return row == 0 ? 0 : ends[row - 1]; }
  void append_null();
  std::size_t memory_bytes() const;
};

using ColumnBuffer =
    std::variant<StringColumn, NumberColumn<std::int32_t>, NumberColumn<std::int64_t>, MapColumn>;

ColumnBuffer make_column_buffer(ColumnType type);

}  // namespace millrace::columnar
