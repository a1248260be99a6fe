#include "maintenance/file_rewriter.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/random_id.h"
#include "base/scratch_file.h"
#include "base/time_text.h"
#include "columnar/file_stats.h"
#include "query/column_sql.h"
#include "query/record_filter.h"
#include "store/upload.h"

namespace millrace::maintenance {

namespace {

using columnar::Column;
using columnar::ColumnType;
using nlohmann::json;

// As writer::Writer makes its files.
constexpr const char* copy_options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880";

// The least or the greatest value of a column as the protocol writes it; nullopt: it has none.
std::optional<json> bound(const Column& column, const std::string& value, bool is_lower) {
  switch (column.type) {
    case ColumnType::string: {
      if (is_lower) return columnar::string_lower_bound(value);
      auto upper = columnar::string_upper_bound(value);
      return upper ? std::optional<json>(*std::move(upper)) : std::nullopt;
    }
    case ColumnType::timestamp: {
      const auto time = parse_rfc3339(value);
      if (!time) return std::nullopt;
      auto text = is_lower ? columnar::time_lower_bound(*time) : columnar::time_upper_bound(*time);
      return text ? std::optional<json>(*std::move(text)) : std::nullopt;
    }
    case ColumnType::int32:
    case ColumnType::int64: {
      std::int64_t number = 0;
      std::from_chars(value.data(), value.data() + value.size(), number);
      return number;
    }
    case ColumnType::date: return value;
    case ColumnType::string_map: break;
  }
  return std::nullopt;
}

std::string sort_order(const columnar::TableSchema& schema) {
  const std::string time = query::time_column(schema);
  std::string order;
  for (const Column& column : schema.columns) {
    if (column.name == "site") order = "site";
  }
  if (!time.empty()) order += (order.empty() ? "" : ", ") + sql::quote_identifier(time);
  return order.empty() ? "" : " ORDER BY " + order;
}

}  // namespace

Result<delta::AddFile> FileRewriter::rewrite(const delta::DeltaTable& table,
                                             const std::vector<delta::AddFile>& files,
                                             const std::string& condition) {
  const columnar::TableSchema& schema = table.snapshot().schema;
  const std::vector<Column> columns = schema.file_columns();
  std::vector<store::ObjectSize> objects;
  for (const auto& file : files) {
    objects.push_back(
        {table.root() + '/' + file.path, static_cast<std::uint64_t>(file.size_bytes)});
  }
  MR_TRY_ASSIGN(const auto local_files, lake_.local_files(objects, {}));
  std::vector<std::string> paths;
  for (const auto& object : objects) paths.push_back(local_files->path_of(object.key));

  const std::string id = random_uuid();
  const ScratchFile local(fmt::format("{}/{}.parquet", scratch_directory_, id));
  // Files may lack columns that the table was given later.
  MR_TRY(engine_.execute(
      fmt::format("COPY (SELECT {} FROM ({} UNION ALL BY NAME SELECT * FROM read_parquet({}, "
                  "hive_partitioning = false, union_by_name = true)) WHERE {}{}) TO {} ({})",
                  query::column_list(columns), query::select_none(columns), sql::quote_list(paths),
                  condition, sort_order(schema), sql::quote_text(local.path()), copy_options)));
  const std::string& first_path = files.front().path;
  const auto slash = first_path.rfind('/');
  delta::AddFile rewritten{
      .path = fmt::format("{}{}.parquet",
                          slash == std::string::npos ? "" : first_path.substr(0, slash + 1), id),
      .partition_values = files.front().partition_values,
      .size_bytes = 0,
      .modified = clock_.now(),
      .data_change = false,
      .stats_json = {}};
  MR_TRY_ASSIGN(rewritten.stats_json, stats_of(schema, local.path()));
  MR_TRY_ASSIGN(const std::uint64_t size_bytes,
                store::upload_file(local.path(), lake_, table.root() + '/' + rewritten.path));
  rewritten.size_bytes = static_cast<std::int64_t>(size_bytes);
  return rewritten;
}

Result<std::string> FileRewriter::stats_of(const columnar::TableSchema& schema,
                                           const std::string& path) {
  std::string list = "count(*)";
  const std::vector<Column> columns = schema.file_columns();
  for (const Column& column : columns) {
    const std::string name = sql::quote_identifier(column.name);
    list += fmt::format(", count({})", name);
    list += column.type == ColumnType::string_map ? std::string(", NULL, NULL")
                                                  : fmt::format(", min({0}), max({0})", name);
  }
  MR_TRY_ASSIGN(const auto rows, engine_.rows(fmt::format(
                                     "SELECT {} FROM read_parquet({}, hive_partitioning = false)",
                                     list, sql::quote_text(path))));
  const sql::ResultRow& row = rows.at(0);
  const auto number = [&row](std::size_t i) { return std::stoll(row.at(i).value_or("0")); };
  json stats = {{"numRecords", number(0)},
                {"minValues", json::object()},
                {"maxValues", json::object()},
                {"nullCount", json::object()}};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::size_t at = 1 + 3 * i;
    const std::string& name = columns[i].name;
    stats["nullCount"][name] = number(0) - number(at);
    const auto put = [&](const char* kind, const std::optional<std::string>& value, bool is_lower) {
      const auto found = value ? bound(columns[i], *value, is_lower) : std::nullopt;
      if (found) stats[kind][name] = *found;
    };
    put("minValues", row.at(at + 1), true);
    put("maxValues", row.at(at + 2), false);
  }
  return stats.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace millrace::maintenance
