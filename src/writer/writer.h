#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "journal/journal.h"
#include "record/decoder.h"
#include "store/object_store.h"
#include "writer/batch_keys.h"
#include "writer/day_files.h"
#include "writer/entry_rows.h"
#include "writer/flush_policy.h"
#include "writer/writer_metrics.h"

namespace millrace::writer {

struct WriterOptions {
  FlushLimits flush;
  DedupeOptions dedupe;
  // Between attempts while the journal or the lake cannot be used: doubled from first to max.
  std::chrono::milliseconds retry_first{100};
  std::chrono::milliseconds retry_max{30'000};
  std::size_t row_group_rows_max = 128 * 1024;
  int zstd_level = 3;
  record::DecoderOptions foreign;  // For entries that other programs appended.
  // Whom the columns bot, bot_operator and bot_category name. Null: the built-in list.
  std::shared_ptr<const crawlers::CrawlerList> crawlers;
};

// Makes a consumer that calls `listener` from within its poll().
using ConsumerFactory = std::function<Result<std::unique_ptr<journal::Consumer>>(
    journal::Consumer::Listener& listener)>;

// Moves the journal's entries into the tables access_logs and dead_letters of a lake, each once.
//
// A flush commits dead_letters first, where there are any, and then access_logs; each commit says
// from which journal position to which it goes, and is refused unless it starts where its table
// stands. So whatever lies below access_logs' position is covered in both tables, and reading
// starts there after any crash; dead letters below their own table's position are then known.
//
// A batch whose key (its batch_id) came at a smaller offset, no longer than the dedupe window ago,
// is dropped whole, whatever it holds. What came is read from the tables after each start,
// assignment and fence, and kept from the entries since.
//
// While the lake or the journal fails, the writer keeps what it holds, reads nothing more, and
// tries again. Memory is bounded by the flush limits and one poll. Not thread-safe: one thread runs
// it. Destroying it loses what drain() has not committed, which the next writer reads again.
class Writer final : private journal::Consumer::Listener {
 public:
  // Opens both tables, creating those that are missing, and adding the columns that tables of older
  // versions lack. `lake`, `clock` and `registry` must outlive
  // the writer, and so must what the factory's consumer borrows.
  // Errors: as DeltaTable::open_or_create() and the factory.
  static Result<std::unique_ptr<Writer>> open(WriterOptions options, store::ObjectStore& lake,
                                              const ConsumerFactory& make_consumer,
                                              const Clock& clock, MetricsRegistry& registry);
  ~Writer() override;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Reads entries, waiting up to `timeout` for some, and flushes when a limit is reached. After a
  // failure that may pass it waits up to `timeout` for the next attempt's time instead; such
  // failures are logged and counted, and are no errors here.
  // Errors: corrupt, invalid_argument, not_found. Stop, and tell the operator.
  Result<void> run_once(std::chrono::milliseconds timeout);

  // Commits everything that was read. For shutting down, after the last run_once().
  // Errors: as run_once(), and conflict, exhausted or unavailable, where nothing is lost and
  // another call goes on.
  Result<void> drain();

  // How many entries of its partitions the table does not cover. Errors: unavailable.
  Result<std::int64_t> entries_behind();

 private:
  struct PartitionState {
    std::string progress_id;
    // The tables' positions, as this writer knows them; nullopt: none yet.
    std::optional<std::int64_t> access_logs_start;
    std::optional<std::int64_t> dead_letters_start;
    // Behind the last entry read; nullopt: none read since the last assignment or rewind.
    std::optional<journal::Offset> next;
    // The first entry ever read, to rewind to where the table has no position.
    std::optional<journal::Offset> first;
    bool is_checked = false;  // See check_assignment().
    // When the oldest entry that the table lacks was appended, or was first seen to be there.
    std::optional<Timestamp> behind_since;
  };
  using Start = std::optional<std::int64_t> PartitionState::*;

  Writer(const WriterOptions& options, store::ObjectStore& lake, const Clock& clock,
         MetricsRegistry& registry, delta::DeltaTable access_logs, delta::DeltaTable dead_letters);

  Result<std::vector<std::optional<journal::Offset>>> on_assigned(
      const std::vector<journal::Partition>& partitions) override;
  void on_revoked(const std::vector<journal::Partition>& partitions) override;
  void on_lost(const std::vector<journal::Partition>& partitions) override;

  Result<void> check_life(journal::Partition partition) const;
  Result<void> work(std::chrono::milliseconds timeout);
  Result<void> poll(std::chrono::milliseconds timeout);
  Result<void> take_pending();
  Result<void> check_assignment();
  Result<void> take(journal::ConsumedEntry& entry);
  // Whether the entry's batch came before; where not, it has come now.
  Result<bool> is_repeated(const journal::ConsumedEntry& entry, const PartitionState& state);

  Result<void> flush();
  Result<void> flush_dead_letters();
  // False: fenced, and to be tried again from the table's new position.
  Result<bool> commit_dead_letters();
  Result<void> flush_access_logs();
  // After an unknown outcome. Errors: fenced, where the table is neither before nor behind it.
  Result<bool> is_committed_after_all(const std::vector<delta::Progress>& progress);
  Result<void> timed_commit(delta::DeltaTable& table, const delta::Commit& commit);
  void access_logs_committed();

  static std::optional<std::int64_t> position_in(const delta::DeltaTable& table,
                                                 const std::string& progress_id);
  void read_starts(const delta::DeltaTable& table, Start start);
  std::vector<delta::Progress> progress_since(Start start) const;
  void drop_known_dead_letters();
  void fenced(const Error& error);
  void drop_all();
  bool are_owed_files_old() const;
  void drop_owed_flush();
  Result<void> rewind();
  Result<void> refresh_tables();
  void forget_keys();

  Buffered buffered() const;
  void note_outcome(const Result<void>& outcome);
  void update_gauges();
  void update_lag();
  void update_table();
  static std::int64_t covered(const PartitionState& state);
  void no_lag_of(const std::vector<journal::Partition>& partitions);

  const WriterOptions options_;
  store::ObjectStore* lake_;
  const Clock* clock_;
  WriterMetrics metrics_;

  delta::DeltaTable access_logs_;
  delta::DeltaTable dead_letters_;
  std::map<journal::Partition, PartitionState> partitions_;
  bool is_rewind_needed_ = false;

  std::vector<journal::ConsumedEntry>
      pending_;  // Polled; those from pending_next_ on are not taken.
  std::size_t pending_next_ = 0;

  BatchKeys keys_;              // Of access_logs, and of all entries read.
  BatchKeys dead_letter_keys_;  // Of dead_letters.
  EntryRows entry_rows_;
  FlushPolicy policy_;
  DayFiles access_files_;
  DayFiles dead_letter_files_;
  std::vector<DeadLetter> letters_;
  std::size_t letters_bytes_ = 0;
  std::size_t journal_bytes_ = 0;
  std::size_t records_ = 0;
  std::optional<Timestamp> oldest_received_at_;

  bool is_flush_owed_ = false;  // One has begun; nothing is read until it is through.
  bool is_access_outcome_unknown_ = false;
  bool are_dead_letter_starts_stale_ = false;

  bool is_failing_ = false;
  std::chrono::milliseconds retry_delay_{0};
  std::chrono::steady_clock::time_point retry_at_;
  std::optional<std::chrono::steady_clock::time_point> lag_updated_;
  delta::Version table_version_{-1};  // That the metrics are about.

  std::unique_ptr<journal::Consumer> consumer_;  // Goes first: it may call back until it has gone.
};

}  // namespace millrace::writer
