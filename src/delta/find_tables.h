#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "store/object_store.h"

namespace millrace::delta {

// The roots of all tables of a lake: the folders that have a log, wherever they lie, but for those
// below another table. Errors: unavailable.
Result<std::set<std::string>> find_tables(store::ObjectStore& lake);

}  // namespace millrace::delta
