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
// DeltaTable::open(), and those of the engine.
Result<std::vector<std::string>> create_views(sql::Engine& engine, store::ObjectStore& lake,
                                              const Clock& clock);

}  // namespace millrace::query
