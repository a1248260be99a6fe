#include "columnar/table_schema.h"

#include <algorithm>
#include <iterator>

namespace millrace::columnar {

bool TableSchema::is_partition_column(std::string_view name) const {
  return std::find(partition_columns.begin(), partition_columns.end(), name) !=
         partition_columns.end();
}

std::vector<Column> TableSchema::file_columns() const {
  std::vector<Column> in_files;
  std::copy_if(columns.begin(), columns.end(), std::back_inserter(in_files),
               [this](const Column& column) { return !is_partition_column(column.name); });
  return in_files;
}

TableSchema TableSchema::with_columns_of(const TableSchema& other) const {
  TableSchema both = *this;
  std::copy_if(other.columns.begin(), other.columns.end(), std::back_inserter(both.columns),
               [this](const Column& column) {
                 return std::none_of(columns.begin(), columns.end(),
                                     [&](const Column& own) { return own.name == column.name; });
               });
  return both;
}

}  // namespace millrace::columnar
