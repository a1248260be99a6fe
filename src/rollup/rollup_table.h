#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "rollup/definition.h"
#include "rollup/hour_files.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::rollup {

// What a run reads of the source table.
struct SourceChanges {
  std::vector<store::ObjectSize> added;  // Files to be folded in, by their paths in the table.
  // Days whose sums are made anew, from all of their live files: records were taken out of them.
  std::set<std::string> recomputed_dates;
};

// One rollup's table and how it follows its source. One thread.
class RollupTable {
 public:
  // All must outlive it. `source_schema`: columns of it that the source lacks are null in all of
  // its records. `scratch_directory`: for files on their way to the store.
  static Result<RollupTable> open(const RollupDefinition& definition,
                                  const columnar::TableSchema& source_schema,
                                  store::ObjectStore& lake, sql::Engine& engine, const Clock& clock,
                                  std::string scratch_directory);

  // Folds what `source` has added since the last time into the hours it touches, in one commit that
  // says how far that was. Returns the number of source files read; 0: nothing was new.
  // Errors: fenced (another process did it; nothing is lost), invalid_argument (the sums are of
  // another definition or another source: rebuild), and those of the store, the table and the
  // engine.
  Result<std::size_t> fold(delta::DeltaTable& source);

  // Makes all sums anew from the source's files, in one commit. Hours whose source files are gone
  // keep their rows, unless somebody has deleted the records since the version that was covered, or
  // the rows are of another source. Errors: as fold(), but for invalid_argument.
  Result<std::size_t> rebuild(delta::DeltaTable& source);

  // Reads what other processes have committed, and deletes the files of the rollup that no reader
  // needs any more.
  Result<void> refresh();

  // How many versions of the source are not covered yet.
  std::int64_t lag_versions(const delta::DeltaTable& source) const;

  delta::DeltaTable& table() { return table_; }
  const delta::DeltaTable& table() const { return table_; }
  const RollupDefinition& definition() const { return *definition_; }

 private:
  RollupTable(const RollupDefinition& definition, store::ObjectStore& lake, sql::Engine& engine,
              const Clock& clock, std::string scratch_directory,
              columnar::TableSchema source_schema, delta::DeltaTable table);

  std::optional<std::int64_t> covered(const delta::DeltaTable& source) const;
  std::optional<std::string> other_progress(const delta::DeltaTable& source) const;
  Result<SourceChanges> changes_since(delta::DeltaTable& source, delta::Version covered) const;
  Result<std::size_t> commit(delta::DeltaTable& source, const SourceChanges& changes,
                             bool is_rebuild);
  Result<std::size_t> sum_up(const delta::DeltaTable& source,
                             const std::vector<store::ObjectSize>& files);
  Result<std::map<Hour, std::int64_t>> rows_by_hour(const std::string& temporary_table);
  std::vector<delta::Progress> progress_to(const delta::DeltaTable& source) const;
  Result<std::vector<const delta::AddFile*>> replaced_files(
      const Hours& touched, const std::set<std::string>& recomputed_dates) const;
  Result<void> add_rows_of(const std::vector<store::ObjectSize>& files, bool is_rebuild);
  Result<void> merge(bool are_keys_unique);
  Result<void> for_each_group(
      const std::string& root, const std::vector<store::ObjectSize>& files,
      const std::function<Result<void>(const std::vector<std::string>&)>& use);
  Result<delta::AddFile> write_hour(Hour hour, std::int64_t rows);

  const RollupDefinition* definition_;
  store::ObjectStore* lake_;
  sql::Engine* engine_;
  const Clock* clock_;
  std::string scratch_directory_;
  columnar::TableSchema source_schema_;
  delta::DeltaTable table_;
};

}  // namespace millrace::rollup
