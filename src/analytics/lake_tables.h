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

// The files of one version of a table that may hold what a filter wants.
struct TableFiles {
  std::string root;
  std::string table_id;
  delta::Version version{-1};
  columnar::TableSchema schema;
  std::vector<delta::AddFile> files;
  // Of a rollup: how many versions of access_logs it does not cover yet; nullopt: it covers nothing
  // of the one that is there.
  std::optional<std::int64_t> versions_behind;
};

// How far a table has come.
struct TableState {
  std::string name;
  delta::Version version{-1};
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> records;    // Where all files say.
  std::optional<Timestamp> newest_record;  // When the newest was received; of a rollup, its hour.
  std::optional<Timestamp> newest_file;    // When it was written.
  std::optional<std::int64_t> versions_behind;  // As in TableFiles.
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

  // The newest files of a table, by when their records were received: enough of them to hold
  // `records_min` records, where there are so many.
  Result<std::optional<TableFiles>> newest_files(const std::string& name,
                                                 std::uint64_t records_min);

  // Of access_logs, dead_letters and the built-in rollups, as far as they are there.
  Result<std::vector<TableState>> states();

 private:
  struct Open {
    std::unique_ptr<delta::DeltaTable> table;  // Null: there was none.
    std::chrono::steady_clock::time_point looked_at;
    std::optional<TableState> state;  // Of its version, once it was asked for.
  };

  // Null: there is none. Looks for a newer version where the last look was a second ago.
  Result<Open*> open(const std::string& name);
  Result<std::optional<std::int64_t>> versions_behind(const std::string& name,
                                                      const delta::Snapshot& rollup);
  Result<TableFiles> describe(const std::string& name, const delta::DeltaTable& table);

  store::ObjectStore& lake_;
  const Clock& clock_;

  std::mutex mutex_;  // Guards tables_.
  std::map<std::string, Open> tables_;
};

}  // namespace millrace::analytics
