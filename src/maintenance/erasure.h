#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::maintenance {

struct ErasureOptions {
  std::string site;
  std::vector<std::string> tables;  // Those of them that are there.
  bool is_dry_run = false;
  // For files on their way to the store; must exist.
  std::string scratch_directory{};
};

// What was taken out of a table, or in a dry run would be.
struct Erased {
  std::string table;
  std::size_t files = 0;
  std::int64_t rows = 0;
};

// Takes all rows of one site out of the tables, as real deletes: the rollups of other days and
// sites stay, those of the site go with its records, and engines that follow the tables see them
// go. The files with the rows are there until a vacuum deletes them; what the journal still holds
// of the site comes after. Repeating is safe, and goes on where an error ended it. Errors:
// invalid_argument (a table that is append-only), fenced (another process has changed the same
// files; try again), and those of DeltaTable, the store and the engine.
Result<std::vector<Erased>> erase_site(const ErasureOptions& options, store::ObjectStore& lake,
                                       sql::Engine& engine, const Clock& clock);

}  // namespace millrace::maintenance
