#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "columnar/table_schema.h"
#include "delta/delta_table.h"
#include "query/record_filter.h"
#include "store/object_store.h"

namespace millrace::analytics {

// How far a rollup is behind access_logs.
struct Lag {
  std::int64_t versions = 0;
  // Since the commit of the first version that it does not cover.
  std::chrono::seconds time{0};
};

// The files of one version of a table that may hold what a filter wants.
struct TableFiles {
  std::string root;
  std::string table_id;
  delta::Version version{-1};
  columnar::TableSchema schema;
  std::vector<delta::AddFile> files;
  // Of a rollup; nullopt: it covers nothing of the access_logs that is there.
  std::optional<Lag> lag;
  std::vector<std::uint64_t> records;  // In each of the files, where newest_files() gave them.
};

// How far a table has come.
struct TableState {
  std::string name;
  delta::Version version{-1};  // -1: a rollup that is not there yet, though there are records.
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> records;    // Where all files say.
  std::optional<Timestamp> newest_record;  // When the newest was received; of a rollup, its hour.
  std::optional<Timestamp> newest_file;    // When it was written.
  // As in TableFiles; of a rollup that covers nothing, since the oldest record.
  std::optional<Lag> lag;
};

// The tables that analytics read, kept open, and as they were a moment ago. Thread-safe.
class LakeTables {
 public:
  // Both must outlive it.
  LakeTables(store::ObjectStore& lake, const Clock& clock) : lake_(lake), clock_(clock) {}

  // nullopt: there is no such table, as before the first record.
  // Errors: those of DeltaTable::open().
  Result<std::optional<TableFiles>> files(const std::string& name,
                                          const query::RecordFilter& filter);

  // The files of a table that may hold records of some sites (empty: of any), those first whose
  // records were received last.
  Result<std::optional<TableFiles>> newest_files(const std::string& name,
                                                 const std::vector<std::string>& sites);

  // Of access_logs, dead_letters and the built-in rollups, as far as they are there.
  Result<std::vector<TableState>> states();

 private:
  using SharedSnapshot = std::shared_ptr<const delta::Snapshot>;  // Null: there is no table.

  struct Entry {
    // Held while somebody looks, which may have to wait for S3; guards what follows.
    std::timed_mutex looking;
    std::unique_ptr<delta::DeltaTable> table;  // Null: there was none.
    // Why the last look failed, and when: nobody has to wait to hear the same.
    std::optional<Error> failure;
    std::chrono::steady_clock::time_point failed_at;

    // Guarded by the mutex of all. What the last look found, and when that was; nullopt: none yet,
    // or it failed.
    std::optional<std::chrono::steady_clock::time_point> looked_at;
    SharedSnapshot snapshot;
    std::shared_ptr<const TableState> state;  // Of the snapshot, once it was asked for.
  };

  // Looks for a newer version where the last look was a second ago. Where somebody else does so
  // just now, the others go on with what there was.
  Result<SharedSnapshot> snapshot(const std::string& name);
  Entry& entry(const std::string& name);
  // What the last look found, where that is not older.
  std::optional<SharedSnapshot> known(const Entry& entry, std::chrono::seconds age_max);
  // With the entry's `looking` held.
  Result<SharedSnapshot> look(const std::string& name, Entry& entry);
  std::shared_ptr<const TableState> state(const std::string& name, const SharedSnapshot& snapshot);
  Result<std::optional<Lag>> lag(const std::string& name, const delta::Snapshot& rollup);
  Result<std::optional<Timestamp>> committed_at(const std::string& table_id,
                                                delta::Version version);
  Result<TableFiles> describe(const std::string& name, const delta::Snapshot& snapshot);

  store::ObjectStore& lake_;
  const Clock& clock_;

  // Guards commit_times_, which entries there are, and what of them it says there.
  std::mutex mutex_;
  std::map<std::pair<std::string, delta::Version>, Timestamp> commit_times_;  // Of access_logs.
  std::map<std::string, Entry> tables_;
};

}  // namespace millrace::analytics
