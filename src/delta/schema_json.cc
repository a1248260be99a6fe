#include "delta/schema_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/assert.h"

namespace millrace::delta {

namespace {

using columnar::Column;
using columnar::ColumnType;
using nlohmann::ordered_json;

constexpr std::array<std::pair<ColumnType, std::string_view>, 5> primitive_types = {{
    {ColumnType::string, "string"},
    {ColumnType::int32, "integer"},
    {ColumnType::int64, "long"},
    {ColumnType::timestamp, "timestamp"},
    {ColumnType::date, "date"},
}};

ordered_json type_json(ColumnType type) {
  for (const auto& [known, name] : primitive_types) {
    if (known == type) return std::string(name);
  }
  MR_ASSERT(type == ColumnType::string_map);
  return {
      {"type", "map"}, {"keyType", "string"}, {"valueType", "string"}, {"valueContainsNull", true}};
}

ordered_json field_json(const Column& column) {
  return {{"name", column.name},
          {"type", type_json(column.type)},
          {"nullable", !column.required},
          {"metadata", ordered_json::object()}};
}

bool is_string_map(const ordered_json& type) {
  return type.is_object() && type.value("type", "") == "map" &&
         type.value("keyType", ordered_json()) == "string" &&
         type.value("valueType", ordered_json()) == "string";
}

Result<Column> column_of(const ordered_json& field) {
  const bool complete = field.is_object() && field.contains("name") && field["name"].is_string() &&
                        field.contains("nullable") && field["nullable"].is_boolean() &&
                        field.contains("type");
  if (!complete) return fail(Errc::corrupt, "the table's schema has a field that is not one");
  Column column{.name = field["name"], .required = !field["nullable"].get<bool>()};
  const ordered_json& type = field["type"];
  if (is_string_map(type)) {
    column.type = ColumnType::string_map;
    return column;
  }
  for (const auto& [known, name] : primitive_types) {
    if (type != std::string(name)) continue;
    column.type = known;
    return column;
  }
  return fail(Errc::invalid_argument, fmt::format("the table's column {} is of type {}, which this "
                                                  "version does not know",
                                                  column.name, type.dump()));
}

}  // namespace

std::string encode_schema(const std::vector<Column>& columns) {
  ordered_json fields = ordered_json::array();
  for (const Column& column : columns) fields.push_back(field_json(column));
  return ordered_json{{"type", "struct"}, {"fields", fields}}.dump();
}

Result<std::vector<Column>> decode_schema(std::string_view json) {
  const auto schema = ordered_json::parse(json, nullptr, false);
  if (!schema.is_object() || !schema.contains("fields") || !schema["fields"].is_array()) {
    return fail(Errc::corrupt, "the table's schema does not parse");
  }
  std::vector<Column> columns;
  for (const auto& field : schema["fields"]) {
    MR_TRY_ASSIGN(Column column, column_of(field));
    columns.push_back(std::move(column));
  }
  return columns;
}

Result<std::string> with_columns(std::string_view json, const std::vector<Column>& columns) {
  MR_TRY(decode_schema(json));
  auto schema = ordered_json::parse(json);
  for (const Column& column : columns) schema["fields"].push_back(field_json(column));
  return schema.dump();
}

std::vector<Column> addable_columns(const columnar::TableSchema& ours,
                                    const columnar::TableSchema& theirs) {
  std::vector<Column> missing;
  std::copy_if(ours.columns.begin(), ours.columns.end(), std::back_inserter(missing),
               [&](const Column& column) {
                 const auto& there = theirs.columns;
                 return !column.required && !ours.is_partition_column(column.name) &&
                        std::none_of(there.begin(), there.end(), [&](const Column& other) {
                          return other.name == column.name;
                        });
               });
  return missing;
}

bool may_write(const columnar::TableSchema& ours, const columnar::TableSchema& theirs) {
  if (ours.partition_columns != theirs.partition_columns) return false;
  const auto holds = [](const std::vector<Column>& columns, const Column& wanted) {
    return std::find(columns.begin(), columns.end(), wanted) != columns.end();
  };
  const bool has_ours =
      std::all_of(ours.columns.begin(), ours.columns.end(),
                  [&](const Column& column) { return holds(theirs.columns, column); });
  return has_ours &&
         std::all_of(theirs.columns.begin(), theirs.columns.end(), [&](const Column& column) {
           return !column.required || holds(ours.columns, column);
         });
}

}  // namespace millrace::delta
