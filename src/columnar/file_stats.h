#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "columnar/column_buffer.h"
#include "columnar/table_schema.h"

// Bounds of a file's values for the table's log, by which readers skip files. A bound may be
// loose, and must never be tight beyond the values: that would hide rows.
namespace millrace::columnar {

// The protocol's `stats` object for `rows` rows. `buffers` go with `columns`.
std::string stats_json(const std::vector<Column>& columns, const std::vector<ColumnBuffer>& buffers,
                       std::size_t rows);

// At most 32 characters that sort at or before `value`, which is valid UTF-8.
std::string string_lower_bound(std::string_view value);

// At most 33 characters that sort at or after `value`; nullopt where there are none.
std::optional<std::string> string_upper_bound(std::string_view value);

// `time` in ISO 8601 with milliseconds, rounded down or up.
// nullopt: outside of the years 0000 to 9999, which the text form cannot hold.
std::optional<std::string> time_lower_bound(Timestamp time);
std::optional<std::string> time_upper_bound(Timestamp time);

}  // namespace millrace::columnar
