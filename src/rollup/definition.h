#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "columnar/table_schema.h"

namespace millrace::rollup {

// Hourly sums of the table access_logs by one column.
struct RollupDefinition {
  std::string name;       // Of the rollup's table: "rollup_by_path".
  std::string dimension;  // A column of access_logs.
  columnar::ColumnType type = columnar::ColumnType::string;

  // The table's columns: hour, site, the dimension, requests, errors (answers of status 500 and
  // more), bytes; partitioned by date.
  columnar::TableSchema schema() const;

  // Under which the table records the source version that it covers: another source table, or
  // another definition of the same name, is another progress.
  std::string progress_id(const std::string& source_table_id) const;

  // Whether this is the progress of any definition over any source.
  static bool is_progress_id(const std::string& id);
};

// The SQL of a column's sum that stops at the largest BIGINT: few records with absurd sizes are
// more than that, and DuckDB's own sum is a HUGEINT.
std::string saturated_sum(std::string_view column);

// By path, by user agent, by status.
const std::vector<RollupDefinition>& built_in_rollups();

}  // namespace millrace::rollup
