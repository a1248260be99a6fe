#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"

namespace millrace::rollup {

using Hour = std::chrono::sys_time<std::chrono::hours>;
using Hours = std::set<Hour>;

// A rollup's table keeps each hour in a file of its own; its statistics say which.
// Errors: corrupt, for a file without them.
Result<Hour> hour_of(const delta::AddFile& file);

// The statistics of the file of one hour.
std::string hour_stats(Hour hour, std::int64_t rows);

// The live files of a rollup's table by hour.
Result<std::map<Hour, delta::AddFile>> files_by_hour(const delta::Snapshot& snapshot);

std::string to_text(Hour hour);  // "2026-01-02T03:00:00.000000Z"
Result<Hour> parse_hour(const std::string& text);

}  // namespace millrace::rollup
