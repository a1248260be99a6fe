#pragma once

#include <string>
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

  // What all progress ids of this name begin with.
  std::string progress_prefix(const std::string& source_table_id) const;
};

// By path, by user agent, by status.
const std::vector<RollupDefinition>& built_in_rollups();

}  // namespace millrace::rollup
