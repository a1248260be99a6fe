#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "store/object_store.h"

namespace millrace::rollup {

// The version of a source table up to which every rollup of the lake has read it: what is needed of
// the versions behind it has to stay. nullopt: no rollup follows the table.
// Errors: those of DeltaTable::open().
Result<std::optional<delta::Version>> least_covered_version(store::ObjectStore& lake,
                                                            const Clock& clock,
                                                            const std::string& source_table_id);

}  // namespace millrace::rollup
