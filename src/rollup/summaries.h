#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "rollup/hour_files.h"
#include "rollup/rollup_table.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::rollup {

// The JSON files beside the rollup tables: one for each hour, at "YYYY-MM-DD/summary_HH.json".
// `_state.json` says up to which version of each rollup they have been derived, so that whatever a
// crash left behind is derived by the next call. One thread.
class Summaries {
 public:
  // All must outlive it.
  Summaries(store::ObjectStore& lake, store::ObjectStore& analytics, sql::Engine& engine)
      : lake_(lake), analytics_(analytics), engine_(engine) {}

  // Writes the summaries of the hours that the built-in ones of the rollups have changed since the
  // last time. Returns how many.
  Result<std::size_t> derive(std::vector<RollupTable>& rollups);

 private:
  // Which version of which table the summaries show.
  struct Derived {
    std::string table_id;
    std::int64_t version = -1;
  };

  // Hours that are summarised together, and the files of each rollup that may have rows of them.
  struct Group {
    Hours hours;
    std::map<const RollupTable*, std::set<const delta::AddFile*>> files;
  };

  Result<std::map<std::string, Derived>> read_state();
  Result<void> add_changed_hours(RollupTable& rollup, std::int64_t derived, Hours& hours);
  Result<std::vector<Group>> in_groups(const Hours& hours,
                                       const std::vector<RollupTable>& rollups) const;
  Result<std::map<Hour, std::string>> summarise(const Group& group,
                                                const std::vector<RollupTable>& rollups);
  Result<void> rank(const RollupTable& rollup, const std::set<const delta::AddFile*>& files,
                    const Hours& hours, sql::RowSink& ranking);

  store::ObjectStore& lake_;
  store::ObjectStore& analytics_;
  sql::Engine& engine_;
};

}  // namespace millrace::rollup
