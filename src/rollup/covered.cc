#include "rollup/covered.h"

#include <algorithm>

namespace millrace::rollup {

Result<std::optional<delta::Version>> least_covered_version(
    const std::vector<RollupDefinition>& definitions, store::ObjectStore& lake, const Clock& clock,
    const std::string& source_table_id) {
  std::optional<delta::Version> least;
  for (const RollupDefinition& definition : definitions) {
    const auto table = delta::DeltaTable::open(lake, clock, definition.name);
    if (!table && table.error().code == Errc::not_found) continue;
    if (!table) return tl::unexpected(table.error());
    const auto& progress = table->snapshot().progress;
    const auto own = progress.find(definition.progress_id(source_table_id));
    // One that has not begun, or is void, begins with the table as it will be.
    if (own == progress.end() || own->second < 0) continue;
    const delta::Version covered(own->second);
    least = least ? std::min(*least, covered) : covered;
  }
  return least;
}

}  // namespace millrace::rollup
