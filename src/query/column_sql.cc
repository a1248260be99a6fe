#include "query/column_sql.h"

#include <fmt/format.h>

#include "sql/engine.h"

namespace millrace::query {

const char* sql_type(columnar::ColumnType type) {
  using columnar::ColumnType;
  switch (type) {
    case ColumnType::string: return "VARCHAR";
    case ColumnType::int32: return "INTEGER";
    case ColumnType::int64: return "BIGINT";
    case ColumnType::timestamp: return "TIMESTAMPTZ";
    case ColumnType::date: return "DATE";
    case ColumnType::string_map: return "MAP(VARCHAR, VARCHAR)";
  }
  return "VARCHAR";
}

std::string select_none(const std::vector<columnar::Column>& columns) {
  std::string list;
  for (const columnar::Column& column : columns) {
    list += fmt::format("{}CAST(NULL AS {}) AS {}", list.empty() ? "" : ", ", sql_type(column.type),
                        sql::quote_identifier(column.name));
  }
  return fmt::format("SELECT {} WHERE false", list);
}

std::string column_list(const std::vector<columnar::Column>& columns) {
  std::string list;
  for (const columnar::Column& column : columns) {
    list += (list.empty() ? "" : ", ") + sql::quote_identifier(column.name);
  }
  return list;
}

}  // namespace millrace::query
