#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "rollup/rollup_table.h"
#include "rollup/summaries.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::rollup {

struct AggregatorOptions {
  std::string source_table = "access_logs";
  // What the newest writers put into it. A table that none of them has opened yet may lack columns:
  // those are null.
  columnar::TableSchema source_schema{};
  // For files on their way to the store; must exist.
  std::string scratch_directory{};
  // What is kept besides the built-in ones.
  std::vector<RollupDefinition> rollups{};
};

struct AggregateSummary {
  std::size_t files_folded = 0;  // Of the source, counted once for each rollup.
  std::size_t summaries_written = 0;
};

// Keeps the rollups, built in and the user's, and the JSON summaries up to the newest version of
// the source table. Cost follows what is new. Any number of processes may aggregate one lake: one
// of them wins each step, the others go on from there. One thread.
class Aggregator {
 public:
  // All must outlive it.
  Aggregator(AggregatorOptions options, store::ObjectStore& lake, store::ObjectStore& analytics,
             sql::Engine& engine, const Clock& clock, MetricsRegistry& metrics);

  // Folds in all that is new. A lake without a source table has nothing new. Where the source has
  // not changed since, the rollups are not looked at for a minute: on S3, looking costs money.
  // Whatever is wrong with one rollup, the others are folded all the same. Errors: the first of
  // them. invalid_argument, corrupt: the operator has to act. Others: try again later.
  Result<AggregateSummary> run_once();

  // Makes one rollup's sums anew, or those of all where `name` is empty.
  // Errors: as run_once(); not_found where no rollup has that name; fenced where other processes
  // were faster again and again.
  Result<AggregateSummary> rebuild(const std::string& name);

 private:
  static std::vector<RollupDefinition> all_definitions(const AggregatorOptions& options);
  bool is_open(const RollupDefinition& definition) const;
  Result<bool> open_source();
  bool is_known_to_be_complete() const;
  Result<void> open_rollups();
  Result<std::size_t> rebuild(RollupTable& rollup);
  Result<std::size_t> fold(RollupTable& rollup);
  void note_lag();
  Result<AggregateSummary> run(bool is_rebuild, const std::string& name);
  Result<void> run_all(bool is_rebuild, const std::string& name, AggregateSummary& summary);

  const AggregatorOptions options_;
  const std::vector<RollupDefinition> definitions_;
  store::ObjectStore& lake_;
  sql::Engine& engine_;
  const Clock& clock_;
  Summaries summaries_;
  Counter& runs_;
  Counter& failures_;
  Counter& files_;
  Histogram& duration_;
  Gauge& lag_;

  std::unique_ptr<delta::DeltaTable> source_;
  std::vector<RollupTable> rollups_;

  // The source's version that everything was up to, and when that was seen.
  std::optional<delta::Version> complete_version_;
  std::chrono::steady_clock::time_point complete_at_{};
};

}  // namespace millrace::rollup
