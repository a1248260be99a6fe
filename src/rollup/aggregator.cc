#include "rollup/aggregator.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace millrace::rollup {

Aggregator::Aggregator(AggregatorOptions options, store::ObjectStore& lake,
                       store::ObjectStore& analytics, sql::Engine& engine, const Clock& clock,
                       MetricsRegistry& metrics)
    : options_(std::move(options)),
      definitions_(all_definitions(options_)),
      lake_(lake),
      engine_(engine),
      clock_(clock),
      summaries_(lake, analytics, engine),
      runs_(metrics.counter("millrace_aggregate_runs_total", "Runs that found something new.")),
      failures_(metrics.counter("millrace_aggregate_failures_total", "Runs that failed.")),
      files_(metrics.counter("millrace_aggregate_files_folded_total",
                             "Source files folded in, counted once for each rollup.")),
      duration_(metrics.histogram("millrace_aggregate_run_duration_seconds",
                                  "How long a run that found something new took.",
                                  duration_seconds_buckets())),
      lag_(metrics.gauge("millrace_aggregate_lag_versions",
                         "Versions of the source table that a rollup does not cover yet.")) {}

std::vector<RollupDefinition> Aggregator::all_definitions(const AggregatorOptions& options) {
  std::vector<RollupDefinition> all = built_in_rollups();
  all.insert(all.end(), options.rollups.begin(), options.rollups.end());
  return all;
}

Result<AggregateSummary> Aggregator::run_once() { return run(false, ""); }

Result<AggregateSummary> Aggregator::rebuild(const std::string& name) {
  const auto& all = definitions_;
  const bool is_known =
      name.empty() || std::any_of(all.begin(), all.end(),
                                  [&](const auto& definition) { return definition.name == name; });
  if (!is_known) {
    std::string names;
    for (const auto& definition : all) names += (names.empty() ? "" : ", ") + definition.name;
    return fail(Errc::not_found,
                fmt::format("there is no rollup \"{}\" (there are {})", name, names));
  }
  return run(true, name);
}

// False: there is no source table yet.
Result<bool> Aggregator::open_source() {
  if (source_) {
    MR_TRY(source_->refresh());
    return true;
  }
  auto source = delta::DeltaTable::open(lake_, clock_, options_.source_table);
  if (!source && source.error().code == Errc::not_found) return false;
  if (!source) return tl::unexpected(source.error());
  source_ = std::make_unique<delta::DeltaTable>(*std::move(source));
  return true;
}

bool Aggregator::is_known_to_be_complete() const {
  constexpr std::chrono::minutes looks_apart(1);
  return complete_version_ == source_->snapshot().version &&
         clock_.monotonic_now() - complete_at_ < looks_apart;
}

bool Aggregator::is_open(const RollupDefinition& definition) const {
  return std::any_of(rollups_.begin(), rollups_.end(), [&](const RollupTable& rollup) {
    return &rollup.definition() == &definition;
  });
}

// Opens those that can be, and returns the first error.
Result<void> Aggregator::open_rollups() {
  Result<void> outcome;
  for (const RollupDefinition& definition : definitions_) {
    if (is_open(definition)) continue;
    auto rollup = RollupTable::open(
        definition, source_->snapshot().schema.with_columns_of(options_.source_schema), lake_,
        engine_, clock_, options_.scratch_directory);
    if (rollup) {
      rollups_.push_back(*std::move(rollup));
    } else if (outcome) {
      outcome = tl::unexpected(std::move(rollup).error());
    }
  }
  return outcome;
}

// Of the rollup that is furthest behind.
void Aggregator::note_lag() {
  std::int64_t versions = 0;
  for (const RollupTable& rollup : rollups_) {
    versions = std::max(versions, rollup.lag_versions(*source_));
  }
  lag_.set(static_cast<double>(versions));
}

// What a process that folds meanwhile makes of the rollup is made anew with the rest.
Result<std::size_t> Aggregator::rebuild(RollupTable& rollup) {
  constexpr int attempts_max = 10;
  for (int attempt = 1;; ++attempt) {
    auto rebuilt = rollup.rebuild(*source_);
    const bool was_slower = !rebuilt && rebuilt.error().code == Errc::fenced;
    if (!was_slower || attempt == attempts_max) return rebuilt;
    MR_TRY(source_->refresh());
  }
}

// Another process may have folded the same, or only merged the rollup's files.
Result<std::size_t> Aggregator::fold(RollupTable& rollup) {
  constexpr int attempts_max = 3;
  for (int attempt = 1; attempt <= attempts_max; ++attempt) {
    auto folded = rollup.fold(*source_);
    if (folded || folded.error().code != Errc::fenced) return folded;
    log(LogLevel::info, "rollup: another process was faster; going on from there",
        {{"rollup", rollup.definition().name}, {"reason", folded.error().message}});
    MR_TRY(rollup.table().refresh());
  }
  return 0;
}

Result<AggregateSummary> Aggregator::run(bool is_rebuild, const std::string& name) {
  AggregateSummary summary;
  const auto start = clock_.monotonic_now();
  const auto done = run_all(is_rebuild, name, summary);
  if (summary.files_folded > 0 || is_rebuild) {
    runs_.add();
    files_.add(static_cast<double>(summary.files_folded));
    duration_.observe(std::chrono::duration<double>(clock_.monotonic_now() - start).count());
  }
  if (done) return summary;
  failures_.add();
  return tl::unexpected(done.error());
}

Result<void> Aggregator::run_all(bool is_rebuild, const std::string& name,
                                 AggregateSummary& summary) {
  MR_TRY_ASSIGN(const bool has_source, open_source());
  if (!has_source || (!is_rebuild && is_known_to_be_complete())) return {};
  complete_version_.reset();
  Result<void> outcome = open_rollups();
  const bool has_all = outcome.has_value();
  for (RollupTable& rollup : rollups_) {
    const bool is_rebuilt = is_rebuild && (name.empty() || rollup.definition().name == name);
    const auto folded = is_rebuilt ? rebuild(rollup) : fold(rollup);
    if (folded) summary.files_folded += *folded;
    if (!folded && outcome) outcome = tl::unexpected(folded.error());
  }
  note_lag();
  // A summary that is written without one of the rollups would lose what it says of it.
  if (!has_all) return outcome;
  const auto written = summaries_.derive(rollups_);
  if (written) summary.summaries_written = *written;
  if (!written && outcome) outcome = tl::unexpected(written.error());
  const bool is_complete =
      std::all_of(rollups_.begin(), rollups_.end(),
                  [this](const RollupTable& rollup) { return rollup.lag_versions(*source_) <= 0; });
  if (outcome && is_complete) {
    complete_version_ = source_->snapshot().version;
    complete_at_ = clock_.monotonic_now();
  }
  return outcome;
}

}  // namespace millrace::rollup
