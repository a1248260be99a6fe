#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "columnar/table_schema.h"
#include "delta/delta_table.h"

namespace millrace::query {

// Which records are asked for. Of each table its own time counts: when a request was served, a
// record was received, or the hour of a sum.
struct RecordFilter {
  std::optional<Timestamp> from;  // Included.
  std::optional<Timestamp> to;    // Not included.
  std::optional<std::string> site;

  bool is_empty() const { return !from && !to && !site; }
};

// The column of a table's time; empty: it has none that is known.
std::string time_column(const columnar::TableSchema& schema);

// Whether a file may hold such records, by its partition and its statistics. What these do not say
// is a yes.
bool may_hold(const delta::AddFile& file, const columnar::TableSchema& schema,
              const RecordFilter& filter);

// The filter as an SQL condition on a table's columns; "true" where it has nothing to say.
std::string sql_condition(const columnar::TableSchema& schema, const RecordFilter& filter);

}  // namespace millrace::query
