#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::columnar {

enum class ColumnType : std::uint8_t {
  string,
  int32,
  int64,
  timestamp,   // Microseconds, UTC.
  date,        // Days since 1970-01-01.
  string_map,  // string -> string.
};

struct Column {
  std::string name;
  ColumnType type = ColumnType::string;
  bool required = false;

  friend bool operator==(const Column&, const Column&) = default;
};

// The columns of a table, in order. Those named in `partition_columns` are in the table's log, not
// in its data files. A value type.
struct TableSchema {
  std::vector<Column> columns;
  std::vector<std::string> partition_columns;

  bool is_partition_column(std::string_view name) const;
  // The columns that data files hold, in order.
  std::vector<Column> file_columns() const;
  // This one, and behind its columns those of `other` whose names it lacks.
  TableSchema with_columns_of(const TableSchema& other) const;

  friend bool operator==(const TableSchema&, const TableSchema&) = default;
};

}  // namespace millrace::columnar
