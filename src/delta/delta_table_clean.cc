// What is deleted of a table: files that it does not name any more, and the past of its log.

#include <fmt/format.h>

#include <algorithm>

#include "base/crash_point.h"
#include "delta/delta_table.h"
#include "delta/log_listing.h"

namespace millrace::delta {

namespace {

// As other engines do it: such names are not a table's data.
bool is_hidden(std::string_view path) {
  for (std::size_t begin = 0; begin < path.size();) {
    if (path[begin] == '_' || path[begin] == '.') return true;
    begin = std::min(path.find('/', begin), path.size()) + 1;
  }
  return false;
}

}  // namespace

Result<RemovedObjects> DeltaTable::vacuum(Timestamp until, const std::set<std::string>& kept_paths,
                                          bool is_dry_run, const StopCheck& stop) {
  // First what is there, then what the table names: a commit in between adds to the latter only.
  MR_TRY_ASSIGN(auto objects, store_->list(root_ + "/"));
  MR_TRY(refresh());
  std::erase_if(objects, [&](const store::ObjectInfo& object) {
    const std::string path = object.key.substr(root_.size() + 1);
    if (object.modified >= until || is_hidden(path)) return true;
    if (snapshot_.files.contains(path) || kept_paths.contains(path)) return true;
    const auto tombstone = tombstones_.find(path);
    return tombstone != tombstones_.end() && tombstone->second.removed >= until;
  });
  return remove_all(objects, is_dry_run, stop);
}

Result<RemovedObjects> DeltaTable::clean_up_log(Timestamp until, Version keep_from, bool is_dry_run,
                                                const StopCheck& stop) {
  constexpr std::chrono::hours checkpoint_age_max(24);
  MR_TRY_ASSIGN(const auto objects, store_->list(log_key("")));
  const LogListing listing = sort_out(objects);
  const auto is_old_entry = [&](Version version) {
    const auto entry =
        std::partition_point(listing.entries.begin(), listing.entries.end(),
                             [version](const auto& object) { return object.version < version; });
    return entry != listing.entries.end() && entry->version == version &&
           entry->info.modified < until;
  };
  // The newest checkpoint that is old enough becomes the first thing of the log. It must be
  // readable, or the table were lost.
  const auto has_past = [&](Version version) {
    return (!listing.entries.empty() && listing.entries.front().version < version) ||
           listing.checkpoints.front().version < version;
  };
  const auto first = std::find_if(
      listing.checkpoints.rbegin(), listing.checkpoints.rend(), [&](const auto& checkpoint) {
        return checkpoint.version <= keep_from && is_old_entry(checkpoint.version) &&
               has_past(checkpoint.version) &&
               read_checkpoint(checkpoint.version, checkpoint.parts);
      });
  const Version first_kept = first == listing.checkpoints.rend() ? Version(0) : first->version;
  std::vector<store::ObjectInfo> unneeded;
  for (const auto& entry : listing.entries) {
    if (entry.version < first_kept) unneeded.push_back(entry.info);
  }
  const Timestamp day_ago = clock_->now() - checkpoint_age_max;
  for (const auto& checkpoint : listing.checkpoints) {
    const bool is_newest = &checkpoint == &listing.checkpoints.back();
    const bool is_superseded = checkpoint.version > first_kept && !is_newest &&
                               checkpoint.parts.front().modified < day_ago;
    if (checkpoint.version >= first_kept && !is_superseded) continue;
    unneeded.insert(unneeded.end(), checkpoint.parts.begin(), checkpoint.parts.end());
  }
  return remove_all(unneeded, is_dry_run, stop);
}

// Oldest first: what is left of a log is always a log, and where an entry is, those behind it are.
Result<RemovedObjects> DeltaTable::remove_all(const std::vector<store::ObjectInfo>& objects,
                                              bool is_dry_run, const StopCheck& stop) {
  RemovedObjects removed;
  for (const store::ObjectInfo& object : objects) {
    if (stop && stop()) return fail(Errc::unavailable, "the clean-up was stopped");
    if (!is_dry_run) MR_TRY(store_->remove(object.key));
    crash_point("delta.after_clean_up_step");
    ++removed.count;
    removed.bytes += object.size_bytes;
  }
  return removed;
}

}  // namespace millrace::delta
