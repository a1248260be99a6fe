#include "rollup/definition.h"

#include <fmt/format.h>

namespace millrace::rollup {

namespace {

// Goes up when the sums of a definition come to mean something else.
constexpr int meaning_version = 1;

constexpr std::string_view progress_prefix = "millrace-rollup/";

}  // namespace

columnar::TableSchema RollupDefinition::schema() const {
  using columnar::ColumnType;
  return {.columns = {{"hour", ColumnType::timestamp, false},
                      {"site", ColumnType::string, false},
                      {dimension, type, false},
                      {"requests", ColumnType::int64, false},
                      {"errors", ColumnType::int64, false},
                      {"bytes", ColumnType::int64, false},
                      {"date", ColumnType::date, false}},
          .partition_columns = {"date"}};
}

std::string RollupDefinition::progress_id(const std::string& source_table_id) const {
  return fmt::format("{}{}/{}@{}.{}", progress_prefix, source_table_id, name, dimension,
                     meaning_version);
}

bool RollupDefinition::is_progress_id(const std::string& id) {
  return id.starts_with(progress_prefix);
}

std::string saturated_sum(std::string_view column) {
  return fmt::format("least(coalesce(sum({}), 0), 9223372036854775807)::BIGINT", column);
}

const std::vector<RollupDefinition>& built_in_rollups() {
  static const std::vector<RollupDefinition> definitions = {
      {"rollup_by_path", "path", columnar::ColumnType::string},
      {"rollup_by_user_agent", "user_agent", columnar::ColumnType::string},
      {"rollup_by_status", "status", columnar::ColumnType::int32}};
  return definitions;
}

}  // namespace millrace::rollup
