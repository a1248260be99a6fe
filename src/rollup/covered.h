#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "rollup/definition.h"
#include "store/object_store.h"

namespace millrace::rollup {

// The version of a source table up to which each of `definitions` has read it: what is needed of
// the versions behind it has to stay. nullopt: none of them follows the table.
// Errors: those of DeltaTable::open().
Result<std::optional<delta::Version>> least_covered_version(
    const std::vector<RollupDefinition>& definitions, store::ObjectStore& lake, const Clock& clock,
    const std::string& source_table_id);

}  // namespace millrace::rollup
