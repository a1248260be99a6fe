#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/stop_check.h"
#include "base/tagged.h"
#include "columnar/table_schema.h"
#include "store/object_store.h"

namespace millrace::delta {

using Version = Tagged<struct VersionTag, std::int64_t>;

// A data file of the table. `path` is the object's key relative to the table's root, not
// URI-encoded (the log's encoding stops inside this folder).
struct AddFile {
  std::string path;
  std::map<std::string, std::optional<std::string>> partition_values;
  std::int64_t size_bytes = 0;
  Timestamp modified;
  bool data_change = true;
  // Per-file statistics as the protocol's JSON text; empty: none.
  std::string stats_json;
};

struct RemoveFile {
  std::string path;
  std::map<std::string, std::optional<std::string>> partition_values;
  std::int64_t size_bytes = 0;
  bool data_change = true;
  Timestamp removed{};  // Set by commit().
};

// How far one source has been read: a commit that carries this moves the table's `txn` of
// `progress_id` from `start` to `end`. A `start` of nullopt means that the table has none yet.
struct Progress {
  std::string progress_id;
  std::optional<std::int64_t> start;
  std::int64_t end = 0;
};

// The operation of a commit that takes out records whose time is over. Whoever sums a table up
// keeps their sums. Its progress of retention_progress_id is the day (since 1970-01-01) before
// which records have been taken out so: what is left of such days is not all that there was.
inline constexpr std::string_view retention_operation = "RETENTION";
inline constexpr std::string_view retention_progress_id = "millrace-retention";

struct Commit {
  std::string operation;  // "WRITE", "OPTIMIZE", "DELETE": for commitInfo.
  std::vector<AddFile> adds;
  std::vector<RemoveFile> removes;
  std::vector<Progress> progress;
};

// What one version did, for readers that follow the table.
struct VersionChanges {
  Version version;
  std::string operation;
  std::vector<AddFile> adds;
  std::vector<RemoveFile> removes;
};

// The table as of one version. A value type.
struct Snapshot {
  Version version{-1};
  std::string table_id;
  columnar::TableSchema schema;
  std::map<std::string, AddFile> files;          // By path.
  std::map<std::string, std::int64_t> progress;  // By progress_id.
};

struct LogEntry;

// What a clean-up has deleted, or in a dry run would have.
struct RemovedObjects {
  std::size_t count = 0;
  std::uint64_t bytes = 0;
};

struct TableOptions {
  int commit_attempts_max = 50;
  // A checkpoint is written after every commit whose version is a multiple of this; of large tables
  // more seldom, since it has a row for each file. Failing to write one costs readers time, and is
  // logged.
  int checkpoint_interval_versions = 10;
  // How long readers of older versions may count on a file that was removed. A new table says so to
  // other engines too (delta.deletedFileRetentionDuration).
  std::chrono::hours removed_file_retention{7 * 24};
  // Whether open_or_create() may add columns to a table that is there.
  bool adds_columns = false;
};

// When a version of the table at `root` was committed, as the store says. Errors: not_found (its
// log entry has been cleaned up), unavailable.
Result<Timestamp> committed_at(store::ObjectStore& store, std::string_view root, Version version);

// A Delta Lake table: Parquet files, and a log of numbered JSON entries that says which of them are
// live (PROTOCOL.md of delta-io/delta; reader version 1, writer version 2).
//
// Any number of processes may commit to one table; put_if_absent() decides who gets a version.
// Not thread-safe: each thread opens its own.
class DeltaTable {
 public:
  // Reads the newest version. `store` must outlive the table; `root` is a key prefix without a
  // slash at its end.
  // Errors: not_found (no such table), corrupt, invalid_argument (a protocol version or a table
  // feature that this code does not know), unavailable.
  static Result<DeltaTable> open(store::ObjectStore& store, const Clock& clock, std::string root,
                                 TableOptions options = {});

  // As open(); where there is no table, first creates one with this schema.
  // Where it lacks columns that may be null and options.adds_columns says so, it gets them, by a
  // commit of its own: they are null in all that is there.
  // Errors: as open(), and invalid_argument where a table exists with another schema.
  static Result<DeltaTable> open_or_create(store::ObjectStore& store, const Clock& clock,
                                           std::string root, const columnar::TableSchema& schema,
                                           TableOptions options = {});

  // Reads what others have committed since, also where they have cleaned up the log up to a newer
  // checkpoint meanwhile. Cost grows with the new versions only.
  Result<void> refresh();

  // Makes all versions up to the snapshot's survive a power cut, whoever has written them.
  // Errors: unavailable.
  Result<void> make_durable();

  const Snapshot& snapshot() const { return snapshot_; }
  // Whether records may not be taken out of it (delta.appendOnly).
  bool is_append_only() const;
  const std::string& root() const { return root_; }

  // Makes the changes of `commit` part of the table and returns the version that holds them.
  //
  // A compare-and-swap on progress: written only onto a table whose progress of every id in
  // `commit.progress` equals its `start`. No two removes or adds of one path, no two entries of one
  // progress id. After an answer was lost this reads the version back and recognises its own id, so
  // a success is reported once it is one, and durable.
  //
  // Errors:
  //   fenced       the table's progress is not what `commit` starts from, or a removed file is no
  //                longer live: another process did this work. Nothing was written; refresh and
  //                start again from the table's progress.
  //   conflict     others won commit_attempts_max versions in a row. Nothing was written.
  //   exhausted    the store is full. Nothing was written.
  //   unavailable  the outcome is unknown. refresh() and compare the progress before repeating.
  //   corrupt      the log does not parse.
  Result<Version> commit(const Commit& commit);

  // Deletes the data files that were removed from the table longer than removed_file_retention ago,
  // as far as the log still lists them; what it no longer lists is left to a vacuum. Returns how
  // many. Errors: unavailable; a later call goes on.
  Result<std::size_t> delete_removed_files();

  // Deletes the objects below the table's root that are no file of it: those that it has removed,
  // and those that no commit ever named. Kept are files that were removed or made after `until`,
  // `kept_paths`, and what has a name (of a folder or its own) that starts with '_' or '.'.
  // `until` must lie before the start of every flush and every read that is under way.
  // Errors: those of refresh() and list(), unavailable (also where `stop` said so); a later call
  // goes on.
  Result<RemovedObjects> vacuum(Timestamp until, const std::set<std::string>& kept_paths,
                                bool is_dry_run, const StopCheck& stop = {});

  // Deletes the log's entries older than `until` that a checkpoint has taken the place of, as far
  // as all versions from `keep_from` on can still be read one by one, and checkpoints of more than
  // a day ago that are not the first to start from. Versions before that cannot be opened any more.
  // Errors: as vacuum().
  Result<RemovedObjects> clean_up_log(Timestamp until, Version keep_from, bool is_dry_run,
                                      const StopCheck& stop = {});

  // The versions after `after` up to the snapshot's, in order.
  // Errors: not_found where the log of one of them has been cleaned up.
  Result<std::vector<VersionChanges>> changes_after(Version after);

  // As changes_after(), one by one: however many they are, memory holds one.
  // Errors: likewise; unavailable where `stop` said so.
  Result<void> visit_changes_after(Version after,
                                   const std::function<void(const VersionChanges&)>& visit,
                                   const StopCheck& stop = {});

 private:
  DeltaTable(store::ObjectStore& store, const Clock& clock, std::string root, TableOptions options);

  // What the log says of the table besides, for checkpoints to say it again.
  struct TableDescription {
    std::string name;
    std::string description;
    std::string schema_json;
    std::map<std::string, std::string> configuration;
    std::int64_t created_ms = 0;
  };

  // What a checkpoint holds.
  struct CheckpointState {
    Snapshot snapshot;
    TableDescription description;
    std::map<std::string, RemoveFile> tombstones;
  };

  Result<void> load();
  Result<void> read_new_entries();
  Result<void> catch_up();
  Result<bool> is_entry_there(Version version) const;
  Result<bool> is_cleaned_up_beyond(Version version) const;
  Result<void> check_own_schema() const;
  Result<bool> load_from(const std::string& start_after);
  // `parts`: the checkpoint's objects.
  Result<bool> load_checkpoint(Version version, const std::vector<store::ObjectInfo>& parts);
  Result<CheckpointState> read_checkpoint(Version version,
                                          const std::vector<store::ObjectInfo>& parts) const;
  Result<void> create(const columnar::TableSchema& schema);
  Result<void> add_missing_columns(const columnar::TableSchema& schema, Timestamp read_at);
  Result<std::optional<Version>> publish(const LogEntry& entry, Timestamp read_at);
  Result<void> check_start(const Commit& commit) const;
  Result<bool> is_own_entry(Version version, const std::string& commit_id);
  Result<LogEntry> read_entry(Version version) const;
  void apply(const LogEntry& entry, Version version);
  bool is_checkpoint_due() const;
  void checkpoint_if_due();
  Result<RemovedObjects> remove_all(const std::vector<store::ObjectInfo>& objects, bool is_dry_run,
                                    const StopCheck& stop);
  Result<void> write_checkpoint() const;
  std::string log_key(std::string_view name) const;
  std::string entry_key(Version version) const;
  std::string checkpoint_key(Version version) const;

  store::ObjectStore* store_;
  const Clock* clock_;
  std::string root_;
  TableOptions options_;
  // What the caller writes; a table may have further columns by now.
  std::optional<columnar::TableSchema> own_schema_;
  TableDescription description_;
  // By path: the files that were removed, for checkpoints, until nobody can need them any more.
  std::map<std::string, RemoveFile> tombstones_;
  Timestamp deleted_until_ = Timestamp::min();  // Files removed before this are deleted.
  Version listed_{-1};                          // The newest one in a listing of the log.
  Snapshot snapshot_;                           // Version -1: nothing read yet.
};

}  // namespace millrace::delta
