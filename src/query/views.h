#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::query {

// Makes every Delta table of `lake` a view of its name in `engine`, as of now. Files are read when
// a query wants them: the store must keep them until then. Returns the tables' names. Errors: as
// DeltaTable::open(), those of the engine, and not_found where a file went while this ran.
Result<std::vector<std::string>> create_views(sql::Engine& engine, store::ObjectStore& lake,
                                              const Clock& clock);

}  // namespace millrace::query
