#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "sql/engine.h"
#include "store/object_store.h"

// For this folder only.
namespace millrace::maintenance {

// Writes rows of a table's files into a new one, in the order of their site and time. Whatever
// their size, memory is bounded by the engine's.
class FileRewriter {
 public:
  // All must outlive it; `scratch_directory` must exist.
  FileRewriter(store::ObjectStore& lake, sql::Engine& engine, const Clock& clock,
               std::string scratch_directory)
      : lake_(lake),
        engine_(engine),
        clock_(clock),
        scratch_directory_(std::move(scratch_directory)) {}

  // The rows of `files`, which are of one partition, for which `condition` (SQL) holds. The file is
  // in the store, and in no commit yet; its data_change is false.
  // Errors: those of the store and the engine.
  Result<delta::AddFile> rewrite(const delta::DeltaTable& table,
                                 const std::vector<delta::AddFile>& files,
                                 const std::string& condition);

 private:
  Result<std::string> stats_of(const columnar::TableSchema& schema, const std::string& path);

  store::ObjectStore& lake_;
  sql::Engine& engine_;
  const Clock& clock_;
  const std::string scratch_directory_;
};

}  // namespace millrace::maintenance
