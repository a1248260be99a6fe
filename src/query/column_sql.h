#pragma once

#include <string>
#include <vector>

#include "columnar/table_schema.h"

namespace millrace::query {

// The engine's type of a column.
const char* sql_type(columnar::ColumnType type);

// A SELECT of no rows that has these columns, with their types: UNION ALL BY NAME gives them to
// files that lack some.
std::string select_none(const std::vector<columnar::Column>& columns);

// The columns' names, quoted, with commas between them.
std::string column_list(const std::vector<columnar::Column>& columns);

}  // namespace millrace::query
