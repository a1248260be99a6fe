#pragma once

#include <string>
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

// Makes every Delta table of `lake` a view of its name in `engine`, as of now. Files are read when
// a query wants them: the store must keep them until then. Returns the tables that cannot be read,
// by the errors of DeltaTable::open(), or not_found where a file is gone.
// Errors: those of the store's list() and of the engine.
Result<std::vector<UnreadableTable>> create_views(sql::Engine& engine, store::ObjectStore& lake,
                                                  const Clock& clock);

}  // namespace millrace::query
