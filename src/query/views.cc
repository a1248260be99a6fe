#include "query/views.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>

#include "delta/delta_table.h"

namespace millrace::query {

namespace {

using columnar::Column;
using columnar::ColumnType;
using PartitionValues = std::map<std::string, std::optional<std::string>>;

const char* sql_type(ColumnType type) {
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

// The tables are the folders that have a log.
Result<std::set<std::string>> find_tables(store::ObjectStore& lake) {
  constexpr std::string_view log_folder = "/_delta_log/";
  MR_TRY_ASSIGN(const auto objects, lake.list(""));
  std::set<std::string> names;
  for (const auto& object : objects) {
    const auto at = object.key.find(log_folder);
    if (at != std::string::npos) names.insert(object.key.substr(0, at));
  }
  return names;
}

// A literal of a partition value: what the log says, whatever the file is called.
std::string partition_literal(const std::optional<std::string>& value, ColumnType type) {
  // The protocol writes null as an empty text too.
  if (!value || value->empty()) return fmt::format("CAST(NULL AS {})", sql_type(type));
  return fmt::format("CAST({} AS {})", sql::quote_text(*value), sql_type(type));
}

std::string empty_select(const columnar::TableSchema& schema) {
  std::string columns;
  for (const Column& column : schema.columns) {
    if (!columns.empty()) columns += ", ";
    columns += fmt::format("CAST(NULL AS {}) AS {}", sql_type(column.type),
                           sql::quote_identifier(column.name));
  }
  return fmt::format("SELECT {} WHERE false", columns);
}

// Reads files of one partition. A column that older files lack is null in them.
std::string partition_select(const columnar::TableSchema& schema, const PartitionValues& values,
                             const std::vector<std::string>& paths) {
  std::string columns;
  for (const Column& column : schema.columns) {
    if (!columns.empty()) columns += ", ";
    const std::string name = sql::quote_identifier(column.name);
    const auto value = values.find(column.name);
    if (schema.is_partition_column(column.name) && value != values.end()) {
      columns += fmt::format("{} AS {}", partition_literal(value->second, column.type), name);
    } else {
      columns += name;
    }
  }
  return fmt::format("SELECT {} FROM read_parquet({}, hive_partitioning = false)", columns,
                     sql::quote_list(paths));
}

Result<std::string> table_select(store::ObjectStore& lake, const delta::DeltaTable& table) {
  const delta::Snapshot& snapshot = table.snapshot();
  std::map<PartitionValues, std::vector<std::string>> partitions;
  for (const auto& [path, file] : snapshot.files) {
    MR_TRY_ASSIGN(std::string local, lake.local_path(table.root() + '/' + path));
    partitions[file.partition_values].push_back(std::move(local));
  }
  if (partitions.empty()) return empty_select(snapshot.schema);
  std::string select;
  for (const auto& [values, paths] : partitions) {
    if (!select.empty()) select += "\nUNION ALL ";
    select += partition_select(snapshot.schema, values, paths);
  }
  return select;
}

}  // namespace

Result<std::vector<std::string>> create_views(sql::Engine& engine, store::ObjectStore& lake,
                                              const Clock& clock) {
  MR_TRY_ASSIGN(const auto names, find_tables(lake));
  for (const std::string& name : names) {
    MR_TRY_ASSIGN(const auto table, delta::DeltaTable::open(lake, clock, name));
    MR_TRY_ASSIGN(const std::string select, table_select(lake, table));
    MR_TRY(engine.execute(
        fmt::format("CREATE OR REPLACE VIEW {} AS {}", sql::quote_identifier(name), select)));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace millrace::query
