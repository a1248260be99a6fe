#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::query {

// A table of the lake that is no view, and why.
struct UnreadableTable {
  std::string name;
  Error error;
};

// Makes every Delta table of `lake` a view of its name in `engine`, as of now, for `statement` to
// be run next. Cost follows what that names: a table that its text does not hold has its columns
// and no rows. Files are read again when the statement runs: the store must keep them until then.
// Returns the tables that cannot be read, by the errors of DeltaTable::open() and of the engine, or
// not_found where a file is gone. Errors: those of the store's list(); unavailable after
// Engine::interrupt().
Result<std::vector<UnreadableTable>> create_views(sql::Engine& engine, store::ObjectStore& lake,
                                                  const Clock& clock, std::string_view statement);

}  // namespace millrace::query
