#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "store/object_store.h"

namespace millrace::rollup {

using Hour = std::chrono::sys_time<std::chrono::hours>;
using Hours = std::set<Hour>;

// The hours, both included, that a file of a rollup's table may hold rows of: a single one in files
// of ours, up to its whole day in a file that another engine has compacted.
struct HourSpan {
  Hour first;
  Hour last;

  bool contains(Hour hour) const { return first <= hour && hour <= last; }
  bool contains_any(const Hours& hours) const;
};

// From the file's statistics, or where they do not say, from its partition.
// Errors: corrupt, for a file that has neither.
Result<HourSpan> hours_of(const delta::AddFile& file);

// The statistics of the file of one hour.
std::string hour_stats(Hour hour, std::int64_t rows);

// The live files of these partitions.
std::vector<const delta::AddFile*> files_of(const delta::Snapshot& snapshot,
                                            const std::set<std::string>& dates);

// The partition that a file lies in; empty where the log does not say.
std::string partition_date(const std::map<std::string, std::optional<std::string>>& values);

std::string date_of(Hour hour);
std::string to_text(Hour hour);  // "2026-01-02T03:00:00.000000Z"
Result<Hour> parse_hour(const std::string& text);

// Files of one table on this machine, for the engine.
struct TableFiles {
  std::unique_ptr<store::LocalFiles> files;  // The paths hold as long as this is kept.
  std::vector<std::string> paths;
};

// `files` are named by their paths in the table at `root`. Errors: those of local_files().
Result<TableFiles> open_files(store::ObjectStore& store, const std::string& root,
                              std::span<const store::ObjectSize> files);

}  // namespace millrace::rollup
