#include "rollup/definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/sha256.h"
#include "query/column_sql.h"
#include "sql/engine.h"

namespace millrace::rollup {

namespace {

using columnar::Column;
using columnar::ColumnType;

// Goes up when the sums of a definition come to mean something else.
constexpr int meaning_version = 1;

// The number of the hour in UTC, by which records are grouped: making a time of it for each group,
// not for each record, was a sixth of what summing up cost. `//` rounds towards zero: times before
// 1970 are made positive first, by a multiple of an hour (72e15 microseconds are more than 2,000
// years).
constexpr std::string_view hour_number_of_timestamp =
    "(epoch_us(\"timestamp\") + 72000000000000000) // 3600000000";
constexpr std::string_view hour_of_number =
    "make_timestamptz(_hour_number * 3600000000 - 72000000000000000)";

constexpr std::string_view progress_prefix = "millrace-rollup/";

std::string_view function_name(MeasureFunction function) {
  switch (function) {
    case MeasureFunction::count: return "count";
    case MeasureFunction::sum: return "sum";
    case MeasureFunction::min: return "min";
    case MeasureFunction::max: return "max";
  }
  return "count";
}

Result<Column> find_column(const columnar::TableSchema& schema, const std::string& name) {
  const auto columns = schema.file_columns();
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const Column& column) { return column.name == name; });
  if (found != columns.end() && found->type != ColumnType::string_map) return *found;
  std::string names;
  for (const Column& column : columns) {
    if (column.type != ColumnType::string_map) names += (names.empty() ? "" : ", ") + column.name;
  }
  return fail(
      Errc::invalid_argument,
      fmt::format("\"{}\" is not a column that can be summed up by (there are {})", name, names));
}

Result<ColumnType> type_of(const Measure& measure, const columnar::TableSchema& source) {
  if (measure.function == MeasureFunction::count) return ColumnType::int64;
  MR_TRY_ASSIGN(const Column column, find_column(source, measure.column));
  if (measure.function != MeasureFunction::sum) return column.type;
  if (column.type == ColumnType::int32 || column.type == ColumnType::int64) {
    return ColumnType::int64;
  }
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is no number: it has no sum", measure.column));
}

bool is_word(const std::string& name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

// All that the sums depend on, but for the names of tables.
std::string meaning_of(const RollupDefinition& definition) {
  std::string text = definition.filter;
  for (const std::string& dimension : definition.dimensions) text += "\n" + dimension;
  for (const Measure& measure : definition.measures) {
    text += fmt::format("\n{}\t{}\t{}\t{}", measure.name, function_name(measure.function),
                        measure.column, measure.condition);
  }
  return text;
}

RollupDefinition built_in(std::vector<std::string> dimensions) {
  return {.name = "rollup_by_" + dimensions.front(),
          .dimensions = std::move(dimensions),
          .measures = {{.name = "requests"},
                       {.name = "errors", .condition = "status >= 500"},
                       {.name = "bytes", .function = MeasureFunction::sum, .column = "bytes"}},
          .is_built_in = true};
}

}  // namespace

Result<columnar::TableSchema> RollupDefinition::schema(const columnar::TableSchema& source) const {
  columnar::TableSchema schema{
      .columns = {{"hour", ColumnType::timestamp, false}, {"site", ColumnType::string, false}},
      .partition_columns = {"date"}};
  for (const std::string& dimension : dimensions) {
    MR_TRY_ASSIGN(const Column column, find_column(source, dimension));
    schema.columns.push_back({dimension, column.type, false});
  }
  for (const Measure& measure : measures) {
    MR_TRY_ASSIGN(const ColumnType type, type_of(measure, source));
    schema.columns.push_back({measure.name, type, false});
  }
  schema.columns.push_back({"date", ColumnType::date, false});
  return schema;
}

std::string RollupDefinition::progress_id(const std::string& source_table_id) const {
  const std::string meaning =
      is_built_in ? dimensions.front() : sha256_hex(meaning_of(*this)).substr(0, 16);
  return fmt::format("{}{}/{}@{}.{}", progress_prefix, source_table_id, name, meaning,
                     meaning_version);
}

bool RollupDefinition::is_progress_id(const std::string& id) {
  return id.starts_with(progress_prefix);
}

std::string RollupDefinition::sums_of(const std::string& records) const {
  return fmt::format(
      "SELECT {} AS hour, * EXCLUDE (_hour_number) FROM "
      "(SELECT {} AS _hour_number, site{}{} FROM ({}) WHERE {} GROUP BY ALL)",
      hour_of_number, hour_number_of_timestamp, dimension_list(), record_measures(), records,
      filter.empty() ? "true" : fmt::format("({})", filter));
}

std::string RollupDefinition::dimension_list() const {
  std::string list;
  for (const std::string& dimension : dimensions) list += ", " + sql::quote_identifier(dimension);
  return list;
}

std::string RollupDefinition::record_measures() const {
  std::string list;
  for (const Measure& measure : measures) {
    const std::string column = sql::quote_identifier(measure.column);
    const std::string only =
        measure.condition.empty() ? "" : fmt::format(" FILTER ({})", measure.condition);
    switch (measure.function) {
      case MeasureFunction::count: list += fmt::format(", count(*){}", only); break;
      case MeasureFunction::sum: list += ", " + saturated_sum(column, only); break;
      case MeasureFunction::min: list += fmt::format(", min({}){}", column, only); break;
      case MeasureFunction::max: list += fmt::format(", max({}){}", column, only); break;
    }
  }
  return list;
}

std::string RollupDefinition::merged_measures() const {
  std::string list;
  for (const Measure& measure : measures) {
    const std::string column = sql::quote_identifier(measure.name);
    const bool adds =
        measure.function == MeasureFunction::count || measure.function == MeasureFunction::sum;
    const std::string merged = adds
                                   ? saturated_sum(column)
                                   : fmt::format("{}({})", function_name(measure.function), column);
    list += fmt::format(", {} AS {}", merged, column);
  }
  return list;
}

std::string RollupDefinition::measure_list() const {
  std::string list;
  for (const Measure& measure : measures) list += ", " + sql::quote_identifier(measure.name);
  return list;
}

std::string saturated_sum(std::string_view column, std::string_view filter) {
  return fmt::format("least(coalesce(sum({}){}, 0), 9223372036854775807)::BIGINT", column, filter);
}

const std::vector<RollupDefinition>& built_in_rollups() {
  static const std::vector<RollupDefinition> definitions = {
      built_in({"path"}), built_in({"user_agent"}), built_in({"status"}),
      built_in({"bot", "bot_operator", "bot_category"})};
  return definitions;
}

Result<void> check_names(const RollupDefinition& definition) {
  std::set<std::string> taken = {"hour", "site", "date"};
  const auto take = [&taken](const std::string& name) -> Result<void> {
    if (!is_word(name)) {
      return fail(Errc::invalid_argument,
                  fmt::format("\"{}\" is not a name (want small letters, digits and _)", name));
    }
    if (taken.insert(name).second) return {};
    return fail(Errc::invalid_argument, fmt::format("the name \"{}\" is taken", name));
  };
  for (const std::string& dimension : definition.dimensions) MR_TRY(take(dimension));
  for (const Measure& measure : definition.measures) {
    MR_TRY(take(measure.name));
    const bool has_column = !measure.column.empty();
    if (has_column == (measure.function != MeasureFunction::count)) continue;
    return fail(Errc::invalid_argument,
                fmt::format("{}: {} {}", measure.name, function_name(measure.function),
                            has_column ? "has no column" : "wants a column"));
  }
  if (!definition.measures.empty()) return {};
  return fail(Errc::invalid_argument, "wants at least one measure");
}

Result<void> check_sql(const RollupDefinition& definition, const columnar::TableSchema& source,
                       sql::Engine& engine) {
  MR_TRY(definition.schema(source));
  return engine.execute(definition.sums_of(query::select_none(source.file_columns())));
}

}  // namespace millrace::rollup
