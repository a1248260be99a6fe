#include "query/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "delta/delta_table.h"
#include "delta/find_tables.h"
#include "query/column_sql.h"

namespace millrace::query {

namespace {

using columnar::Column;
using columnar::ColumnType;
using PartitionValues = std::map<std::string, std::optional<std::string>>;

struct DataFile {
  std::string local_path;
  const delta::AddFile* file;
};

bool is_plain(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") == std::string_view::npos;
}

// Whether the folders that a file lies in say its partition values, and nothing else: then DuckDB
// takes them from the path, and a query passes over files of other partitions.
bool has_values_in_path(const columnar::TableSchema& schema, const DataFile& data) {
  const std::string& path = data.file->path;
  std::string folders;
  for (const std::string& name : schema.partition_columns) {
    const auto value = data.file->partition_values.find(name);
    if (value == data.file->partition_values.end() || !value->second || !is_plain(*value->second)) {
      return false;
    }
    folders += fmt::format("{}={}/", name, *value->second);
  }
  const std::string_view above =
      std::string_view(data.local_path).substr(0, data.local_path.size() - path.size());
  const std::string_view name =
      std::string_view(path).substr(std::min(folders.size(), path.size()));
  return data.local_path.ends_with(path) && path.starts_with(folders) &&
         above.find('=') == std::string_view::npos && name.find_first_of("/=") == std::string::npos;
}

// Files may lack columns that the table was given later.
std::string read_files(const std::vector<std::string>& paths, const std::string& options) {
  return fmt::format("read_parquet({}, union_by_name = true, {})", sql::quote_list(paths), options);
}

std::string select_by_path(const columnar::TableSchema& schema,
                           const std::vector<DataFile>& files) {
  std::string types;
  for (const Column& column : schema.columns) {
    if (!schema.is_partition_column(column.name)) continue;
    types += fmt::format("{}{}: {}", types.empty() ? "" : ", ", sql::quote_text(column.name),
                         sql_type(column.type));
  }
  std::vector<std::string> paths;
  for (const DataFile& data : files) paths.push_back(data.local_path);
  return "SELECT * FROM " +
         read_files(paths,
                    types.empty()
                        ? "hive_partitioning = false"
                        : fmt::format("hive_partitioning = true, hive_types = {{{}}}", types));
}

// A literal of a partition value: what the log says, whatever the file is called.
std::string partition_literal(const std::optional<std::string>& value, ColumnType type) {
  // The protocol writes null as an empty text too.
  if (!value || value->empty()) return fmt::format("CAST(NULL AS {})", sql_type(type));
  return fmt::format("CAST({} AS {})", sql::quote_text(*value), sql_type(type));
}

std::string select_by_log(const columnar::TableSchema& schema, const std::vector<DataFile>& files) {
  std::map<PartitionValues, std::vector<std::string>> partitions;
  for (const DataFile& data : files) {
    partitions[data.file->partition_values].push_back(data.local_path);
  }
  std::string select;
  for (const auto& [values, paths] : partitions) {
    std::string literals;
    for (const Column& column : schema.columns) {
      const auto value = values.find(column.name);
      if (!schema.is_partition_column(column.name) || value == values.end()) continue;
      literals += fmt::format(", {} AS {}", partition_literal(value->second, column.type),
                              sql::quote_identifier(column.name));
    }
    select += fmt::format("{}SELECT COLUMNS(c -> c NOT IN {}){} FROM {}",
                          select.empty() ? "" : "\nUNION ALL BY NAME ",
                          sql::quote_list(schema.partition_columns), literals,
                          read_files(paths, "hive_partitioning = false"));
  }
  return select;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Whether a statement may read a table. A table cannot be read without its name, but the name can
// be spelt by U& escapes.
bool may_name(std::string_view statement, std::string_view table) {
  const auto holds = [&](std::string_view text) {
    return !std::ranges::search(statement, text, {}, lower, lower).empty();
  };
  return holds(table) || holds("u&");
}

// The table's files, on this machine.
Result<std::unique_ptr<store::LocalFiles>> bring_here(store::ObjectStore& lake,
                                                      const TableVersion& table,
                                                      const std::vector<DataFile>& files,
                                                      const StopCheck& stop) {
  std::vector<store::ObjectSize> objects;
  for (const DataFile& data : files) {
    objects.push_back(
        {table.root + '/' + data.file->path, static_cast<std::uint64_t>(data.file->size_bytes)});
  }
  auto local = lake.local_files(objects, stop);
  if (local || local.error().code != Errc::not_found) return local;
  return fail(Errc::not_found,
              fmt::format("the table {} has lost a file since version {} was read (if a vacuum ran "
                          "just now, try again): {}",
                          table.root, table.version.value(), local.error().message));
}

Result<std::string> table_select(store::ObjectStore& lake, const Clock& clock,
                                 const std::string& root, const RecordFilter& filter, bool has_rows,
                                 Views& views) {
  MR_TRY_ASSIGN(const auto table, delta::DeltaTable::open(lake, clock, root));
  const delta::Snapshot& snapshot = table.snapshot();
  std::vector<const delta::AddFile*> files;
  for (const auto& [path, file] : snapshot.files) {
    if (has_rows && (filter.is_empty() || may_hold(file, snapshot.schema, filter))) {
      files.push_back(&file);
    }
  }
  MR_TRY_ASSIGN(RecordSelect select,
                select_records(lake, {root, snapshot.version, snapshot.schema}, files, filter, {}));
  if (select.files) views.files.push_back(std::move(select.files));
  return std::move(select.sql);
}

}  // namespace

Result<RecordSelect> select_records(store::ObjectStore& lake, const TableVersion& table,
                                    const std::vector<const delta::AddFile*>& files,
                                    const RecordFilter& filter, const StopCheck& stop) {
  // The columns and types of the log, with no rows: a table without files has them too, and a
  // column that no file has yet is null.
  const columnar::TableSchema& schema = table.schema;
  std::string none = select_none(schema.columns);
  if (files.empty()) return RecordSelect{.sql = std::move(none), .files = nullptr};
  std::vector<DataFile> data_files;
  data_files.reserve(files.size());
  for (const delta::AddFile* file : files) data_files.push_back({"", file});
  MR_TRY_ASSIGN(auto local, bring_here(lake, table, data_files, stop));
  for (DataFile& data : data_files) {
    data.local_path = local->path_of(table.root + '/' + data.file->path);
  }
  const bool is_by_path =
      std::all_of(data_files.begin(), data_files.end(),
                  [&](const DataFile& data) { return has_values_in_path(schema, data); });
  return RecordSelect{
      .sql = fmt::format(
          "SELECT {} FROM ({}\nUNION ALL BY NAME {}) WHERE {}", column_list(schema.columns), none,
          is_by_path ? select_by_path(schema, data_files) : select_by_log(schema, data_files),
          sql_condition(schema, filter)),
      .files = std::move(local)};
}

Result<Views> create_views(sql::Engine& engine, store::ObjectStore& lake, const Clock& clock,
                           std::string_view statement, const RecordFilter& filter) {
  // A view reads the files' footers when it is made and again in each query.
  MR_TRY(engine.execute("SET parquet_metadata_cache = true"));
  MR_TRY_ASSIGN(const auto names, delta::find_tables(lake));
  Views views;
  for (const std::string& name : names) {
    const auto select = table_select(lake, clock, name, filter, may_name(statement, name), views);
    if (!select && select.error().code == Errc::exhausted) {
      return fail(Errc::exhausted, fmt::format("{}: {}", name, select.error().message));
    }
    if (!select) {
      views.unreadable.push_back({name, select.error()});
      continue;
    }
    const auto created = engine.execute(
        fmt::format("CREATE OR REPLACE VIEW {} AS {}", sql::quote_identifier(name), *select));
    // The table may be as it should be.
    if (!created && engine.is_interrupted()) return tl::unexpected(created.error());
    if (!created) views.unreadable.push_back({name, created.error()});
  }
  return views;
}

}  // namespace millrace::query
