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

}  // namespace millrace::columnar
