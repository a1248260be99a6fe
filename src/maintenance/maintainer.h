#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "rollup/definition.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::maintenance {

struct MaintenanceOptions {
  // What files are merged into, about. Those of three quarters of it are left alone.
  std::uint64_t file_size_bytes = 128U << 20;
  // Of a day that may still get records, so many small files are awaited before they are merged.
  std::size_t files_min = 8;
  // How long after its removal a file can still be read by those who started before.
  std::chrono::milliseconds removed_file_retention = std::chrono::hours(7 * 24);
  // How long versions of a table can be opened again.
  std::chrono::milliseconds log_retention = std::chrono::hours(30 * 24);
  // How long records and dead letters are kept after their day, and after they were received; 0:
  // for good. Sums stay.
  std::chrono::milliseconds record_retention{0};
  // The tables whose rows those are.
  std::vector<std::string> record_tables = {"access_logs", "dead_letters"};

  // What they have not read yet is kept.
  std::vector<rollup::RollupDefinition> rollups = rollup::built_in_rollups();

  bool compacts = true;
  bool vacuums = true;
  bool is_dry_run = false;
  // For files on their way to the store; must exist.
  std::string scratch_directory{};
};

// What was done to a table, or in a dry run would be.
struct TableMaintenance {
  std::string table;
  std::size_t files_before = 0;
  std::size_t files_after = 0;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  std::size_t files_merged = 0;  // Into files_written others.
  std::size_t files_written = 0;
  std::size_t files_expired = 0;
  delta::RemovedObjects vacuumed;
  delta::RemovedObjects log_cleaned;
};

// Keeps the lake's tables in shape, while others write, aggregate and read them: merges small
// files, ends the time of old records, deletes what nobody needs. Any number of processes may do it
// at once; of two that merge the same files one does it in vain. One thread, but for stop().
class Maintainer {
 public:
  // Is told in a sentence what is being done.
  using Tell = std::function<void(const std::string&)>;

  // All must outlive it. The engine is used by nobody else meanwhile.
  Maintainer(MaintenanceOptions options, store::ObjectStore& lake, sql::Engine& engine,
             const Clock& clock, MetricsRegistry& metrics, Tell tell);

  // The tables of records and of sums, as far as there are such. Other tables of the lake are
  // somebody else's. Goes on with the others where a table fails. Errors: the first of them;
  // unavailable after stop().
  Result<std::vector<TableMaintenance>> run();

  // One table, whosever it is. Goes on with the rest of its work where a part of it fails.
  // Errors: the first of those of DeltaTable, of the store and of the engine; not_found.
  Result<TableMaintenance> run(const std::string& table);

  // Ends what is under way soon, and all that comes. From any thread.
  void stop();
  bool is_stopped() const { return is_stopped_; }

 private:
  Result<void> expire(delta::DeltaTable& table, TableMaintenance& done);
  Result<void> compact(delta::DeltaTable& table, TableMaintenance& done);
  Result<void> merge(delta::DeltaTable& table, const std::vector<delta::AddFile>& files,
                     TableMaintenance& done);
  Result<void> clean(delta::DeltaTable& table, TableMaintenance& done);
  bool is_of_records(const std::string& table) const;
  Result<void> check_stop() const;

  const MaintenanceOptions options_;
  store::ObjectStore& lake_;
  sql::Engine& engine_;
  const Clock& clock_;
  const Tell tell_;
  Counter& merged_;
  Counter& written_;
  Counter& expired_;
  Counter& vacuumed_;
  std::atomic<bool> is_stopped_{false};
};

}  // namespace millrace::maintenance
