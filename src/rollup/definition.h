#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "columnar/table_schema.h"
#include "sql/engine.h"

namespace millrace::rollup {

// What merges by addition, minimum or maximum, so that folding in new records is exact.
enum class MeasureFunction : std::uint8_t { count, sum, min, max };

// One number of a rollup's rows.
struct Measure {
  std::string name;
  MeasureFunction function = MeasureFunction::count;
  std::string column{};     // Of the records; none for count.
  std::string condition{};  // SQL on a record; empty: all of them.
};

// Hourly sums of the table access_logs, by site and some columns.
struct RollupDefinition {
  std::string name;                     // Of the rollup's table: "rollup_by_path".
  std::vector<std::string> dimensions;  // Columns of the records.
  std::vector<Measure> measures;
  std::string filter{};  // SQL on a record; empty: all of them.
  // Whether summaries show it, by its first dimension. Those have requests, errors (answers of
  // status 500 and more) and bytes.
  bool is_built_in = false;

  // The table's columns: hour, site, dimensions, measures; partitioned by date. `source` is the
  // records' schema. Errors: invalid_argument (a column that is not there, or cannot be summed).
  Result<columnar::TableSchema> schema(const columnar::TableSchema& source) const;

  // Under which the table records the source version that it covers: another source table, or
  // another definition of the same name, is another progress.
  std::string progress_id(const std::string& source_table_id) const;

  // Whether this is the progress of any definition over any source.
  static bool is_progress_id(const std::string& id);

  // The SELECT of the sums of a table expression's records.
  std::string sums_of(const std::string& records) const;

  // For SQL, each behind a comma: the dimensions; the measures; what these are of rows to be
  // merged.
  std::string dimension_list() const;
  std::string measure_list() const;
  std::string merged_measures() const;

 private:
  std::string record_measures() const;
};

// By path, by user agent, by status, by crawler.
const std::vector<RollupDefinition>& built_in_rollups();

// The SQL of a column's sum that stops at the largest BIGINT: few records with absurd sizes are
// more than that, and DuckDB's own sum is a HUGEINT.
std::string saturated_sum(std::string_view column, std::string_view filter = {});

// A user's definition: names that are plain words, not taken, and no two alike.
// Errors: invalid_argument.
Result<void> check_names(const RollupDefinition& definition);

// Whether its columns and conditions are ones of records of that schema. Errors: invalid_argument.
Result<void> check_sql(const RollupDefinition& definition, const columnar::TableSchema& source,
                       sql::Engine& engine);

}  // namespace millrace::rollup
