#include "writer/writer.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "writer/table_schemas.h"

// Reading: from the journal to rows in memory. writer_flush.cc goes on from there.
namespace millrace::writer {

using std::chrono::milliseconds;

namespace {

constexpr auto lag_interval = std::chrono::seconds(1);

columnar::FileBuilderOptions file_options(const WriterOptions& options, const char* sort_column) {
  return {.sort_column = sort_column,
          .row_group_rows_max = options.row_group_rows_max,
          .zstd_level = options.zstd_level};
}

std::size_t journal_bytes_of(const journal::Entry& entry) {
  std::size_t total = entry.value.size();
  for (const auto& [name, value] : entry.headers) total += name.size() + value.size();
  return total;
}

bool may_pass(Errc code) {
  return code == Errc::conflict || code == Errc::exhausted || code == Errc::unavailable;
}

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(WriterOptions options, store::ObjectStore& lake,
                                             const ConsumerFactory& make_consumer,
                                             const Clock& clock, MetricsRegistry& registry) {
  using delta::DeltaTable;
  const delta::TableOptions table_options{.adds_columns = true};
  MR_TRY_ASSIGN(auto access_logs, DeltaTable::open_or_create(lake, clock, access_logs_root,
                                                             access_logs_schema(), table_options));
  MR_TRY_ASSIGN(auto dead_letters,
                DeltaTable::open_or_create(lake, clock, dead_letters_root, dead_letters_schema(),
                                           table_options));
  std::unique_ptr<Writer> writer(
      new Writer(options, lake, clock, registry, std::move(access_logs), std::move(dead_letters)));
  MR_TRY_ASSIGN(writer->consumer_, make_consumer(*writer));
  return writer;
}

Writer::Writer(const WriterOptions& options, store::ObjectStore& lake, const Clock& clock,
               MetricsRegistry& registry, delta::DeltaTable access_logs,
               delta::DeltaTable dead_letters)
    : options_(options),
      lake_(&lake),
      clock_(&clock),
      metrics_(registry),
      access_logs_(std::move(access_logs)),
      dead_letters_(std::move(dead_letters)),
      keys_(options_.dedupe),
      dead_letter_keys_(options_.dedupe),
      entry_rows_(clock, options_.foreign,
                  options_.crawlers ? options_.crawlers : crawlers::CrawlerList::built_in()),
      policy_(options_.flush, clock),
      access_files_(lake, clock, access_logs_root, access_logs_schema(),
                    file_options(options_, "timestamp")),
      dead_letter_files_(lake, clock, dead_letters_root, dead_letters_schema(),
                         file_options(options_, "received_at")) {}

Writer::~Writer() = default;

Result<void> Writer::run_once(milliseconds timeout) {
  if (is_failing_ && clock_->monotonic_now() < retry_at_) {
    const auto left = retry_at_ - clock_->monotonic_now();
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(left, timeout));
    update_gauges();
    return {};
  }
  auto outcome = work(timeout);
  note_outcome(outcome);
  update_gauges();
  if (!outcome && may_pass(outcome.error().code)) return {};
  return outcome;
}

Result<void> Writer::drain() {
  MR_TRY(take_pending());
  return flush();
}

Result<void> Writer::work(milliseconds timeout) {
  if (is_rewind_needed_) MR_TRY(rewind());
  if (is_flush_owed_) MR_TRY(flush());
  if (is_rewind_needed_) return {};  // The flush was fenced.
  if (pending_.empty()) MR_TRY(poll(timeout));
  MR_TRY(take_pending());
  if (policy_.is_due(buffered())) MR_TRY(flush());
  return {};
}

Result<void> Writer::poll(milliseconds timeout) {
  const milliseconds wait = std::min(timeout, policy_.time_left().value_or(timeout));
  auto entries = consumer_->poll(wait);
  if (!entries) return tl::unexpected(std::move(entries).error());
  // Noted before anything may be dropped: where the table has no position, this is the way back.
  for (const journal::ConsumedEntry& entry : *entries) {
    const auto it = partitions_.find(entry.partition);
    if (it != partitions_.end() && !it->second.first) it->second.first = entry.offset;
  }
  // What came with the loss of a partition may lie behind rows that were dropped with it.
  if (is_rewind_needed_) return {};
  pending_ = *std::move(entries);
  pending_next_ = 0;
  return {};
}

Result<void> Writer::take_pending() {
  if (is_flush_owed_) MR_TRY(flush());
  MR_TRY(check_assignment());
  while (pending_next_ < pending_.size()) {
    MR_TRY(take(pending_[pending_next_]));
    ++pending_next_;
    if (policy_.is_due(buffered())) MR_TRY(flush());  // Where it is fenced, nothing is pending.
  }
  pending_.clear();
  pending_next_ = 0;
  return {};
}

// Where dead_letters is ahead, rejects below its position are skipped. A journal that ends before
// that position is not the one that the table was written from: new entries would be skipped too.
Result<void> Writer::check_assignment() {
  for (auto& [partition, state] : partitions_) {
    if (state.is_checked) continue;
    if (state.dead_letters_start) {
      MR_TRY_ASSIGN(const journal::Offset end, consumer_->end_position(partition));
      if (*state.dead_letters_start > end.value()) {
        return fail(Errc::corrupt,
                    fmt::format("table dead_letters covers partition {} of the journal up to {}, "
                                "but the journal ends at {}: the journal was replaced or cut. "
                                "Restore it, or move the table away",
                                partition.value(), *state.dead_letters_start, end.value()));
      }
    }
    state.is_checked = true;
  }
  return {};
}

// Where it fails, nothing of the entry was taken.
Result<void> Writer::take(journal::ConsumedEntry& entry) {
  const auto it = partitions_.find(entry.partition);
  if (it == partitions_.end()) return {};
  PartitionState& state = it->second;
  const journal::Partition partition = entry.partition;
  const journal::Offset offset = entry.offset;
  if (state.next && offset < *state.next) return {};
  if (!state.behind_since) state.behind_since = entry.appended_at.value_or(clock_->now());
  const bool is_known = state.access_logs_start && offset.value() < *state.access_logs_start;
  if (entry.is_empty) {
    state.next = offset.next();
    if (!is_known) policy_.entry_added();  // The position has to be committed all the same.
    return {};
  }
  MR_TRY_ASSIGN(const bool is_duplicate,
                is_known ? Result<bool>(false) : is_repeated(entry, state));
  state.next = offset.next();
  if (is_known) return {};

  metrics_.entry_read();
  if (is_duplicate) {
    metrics_.duplicate_dropped();
    policy_.entry_added();  // Its position has to be committed all the same.
    return {};
  }
  journal_bytes_ += journal_bytes_of(entry.entry);
  EntryContent content = entry_rows_.append(std::move(entry), access_files_);
  policy_.entry_added();
  records_ += content.records;
  oldest_received_at_ =
      std::min(oldest_received_at_.value_or(content.received_at), content.received_at);
  if (!content.dead_letters.empty()) {
    log(LogLevel::debug, "writer: found dead letters",
        {{"partition", partition.value()},
         {"offset", offset.value()},
         {"dead_letters", content.dead_letters.size()}});
  }
  if (state.dead_letters_start && offset.value() < *state.dead_letters_start) return {};
  for (DeadLetter& letter : content.dead_letters) {
    letters_bytes_ += letter.memory_bytes();
    letters_.push_back(std::move(letter));
  }
  return {};
}

// Every key of access_logs came at a smaller offset: a commit onto a table that is further than
// this writer believes is fenced. dead_letters may be ahead, and then holds keys of entries to
// come.
Result<bool> Writer::is_repeated(const journal::ConsumedEntry& entry, const PartitionState& state) {
  if (options_.dedupe.window.count() == 0) return false;
  const auto key = batch_key_of(entry);
  if (!key) return false;
  MR_TRY(keys_.load(*lake_, access_logs_, key->received_at));
  MR_TRY(dead_letter_keys_.load(*lake_, dead_letters_, key->received_at));
  if (keys_.contains(key->id, key->received_at)) return true;
  const auto letters_end = position_in(dead_letters_, state.progress_id);
  const bool is_behind_letters = !letters_end || entry.offset.value() >= *letters_end;
  if (is_behind_letters && dead_letter_keys_.contains(key->id, key->received_at)) return true;
  keys_.add(key->id, key->received_at);
  return false;
}

void Writer::forget_keys() {
  keys_.clear();
  dead_letter_keys_.clear();
}

Result<std::vector<std::optional<journal::Offset>>> Writer::on_assigned(
    const std::vector<journal::Partition>& partitions) {
  MR_TRY(refresh_tables());
  // What others wrote of these partitions is to be recognised too.
  keys_.invalidate();
  dead_letter_keys_.invalidate();
  // Partitions held already keep their starts: where a table has moved under them, it fences the
  // next flush. One that is assigned again is read again, so what was read of it has to go.
  std::vector<std::optional<journal::Offset>> positions;
  for (const journal::Partition partition : partitions) {
    if (partitions_.contains(partition)) {
      drop_all();
      is_rewind_needed_ = true;
    }
    MR_TRY(check_life(partition));
    PartitionState& state = partitions_[partition];
    state = PartitionState{};
    state.progress_id = consumer_->progress_id(partition);
    state.access_logs_start = position_in(access_logs_, state.progress_id);
    state.dead_letters_start = position_in(dead_letters_, state.progress_id);
    positions.push_back(state.access_logs_start
                            ? std::optional(journal::Offset(*state.access_logs_start))
                            : std::nullopt);
    log(LogLevel::info, "writer: took over a partition",
        {{"partition", partition.value()}, {"position", state.access_logs_start.value_or(0)}});
  }
  return positions;
}

// Offsets of a topic that was made anew would be taken for new ones, and what the table never had
// of the former one would be passed over without a word.
Result<void> Writer::check_life(journal::Partition partition) const {
  const std::string own_id = consumer_->progress_id(partition);
  if (position_in(access_logs_, own_id)) return {};
  for (const auto& [id, position] : access_logs_.snapshot().progress) {
    if (!consumer_->is_former_life(id, partition)) continue;
    return fail(Errc::corrupt,
                fmt::format("the table covers partition {} of the journal {} up to {}, but the "
                            "journal was made anew and is {} now: entries that the table does not "
                            "have are gone. To go on, give the new one another name "
                            "(journal.kafka.topic), or move the table away",
                            partition.value(), id, position, own_id));
  }
  return {};
}

void Writer::on_revoked(const std::vector<journal::Partition>& partitions) {
  const auto flushed = flush();
  if (!flushed) {
    log(LogLevel::warn, "writer: gave up a partition without a flush; its next owner reads again",
        {{"error", flushed.error().message}});
    drop_all();
    is_rewind_needed_ = true;
  }
  no_lag_of(partitions);
  for (const journal::Partition partition : partitions) partitions_.erase(partition);
}

void Writer::on_lost(const std::vector<journal::Partition>& partitions) {
  log(LogLevel::warn, "writer: lost partitions", {{"partitions", partitions.size()}});
  drop_all();
  is_rewind_needed_ = true;
  no_lag_of(partitions);
  for (const journal::Partition partition : partitions) partitions_.erase(partition);
}

// The positions are what the journal will be forgotten by: those of a process that has crashed are
// perhaps not durable yet.
Result<void> Writer::refresh_tables() {
  MR_TRY(access_logs_.refresh());
  MR_TRY(dead_letters_.refresh());
  MR_TRY(access_logs_.make_durable());
  return dead_letters_.make_durable();
}

Result<void> Writer::rewind() {
  MR_TRY(refresh_tables());
  read_starts(access_logs_, &PartitionState::access_logs_start);
  read_starts(dead_letters_, &PartitionState::dead_letters_start);
  for (auto& [partition, state] : partitions_) {
    state.next.reset();
    const std::optional<journal::Offset> target =
        state.access_logs_start ? std::optional(journal::Offset(*state.access_logs_start))
                                : state.first;
    if (target) MR_TRY(consumer_->seek(partition, *target));
  }
  is_rewind_needed_ = false;
  return {};
}

Buffered Writer::buffered() const {
  return {.journal_bytes = journal_bytes_,
          .buffer_bytes = access_files_.memory_bytes() + letters_bytes_,
          .records = records_,
          .days = access_files_.days()};
}

void Writer::note_outcome(const Result<void>& outcome) {
  if (outcome) {
    if (is_failing_) log(LogLevel::info, "writer: recovered");
    is_failing_ = false;
    retry_delay_ = milliseconds::zero();
  } else if (may_pass(outcome.error().code)) {
    if (!is_failing_) {
      log(LogLevel::warn, "writer: failed, trying again",
          {{"code", to_string(outcome.error().code)}, {"error", outcome.error().message}});
    }
    is_failing_ = true;
    metrics_.attempt_failed();
    retry_delay_ = std::clamp(retry_delay_ * 2, options_.retry_first, options_.retry_max);
    retry_at_ = clock_->monotonic_now() + retry_delay_;
  }
  metrics_.is_failing(is_failing_);
}

void Writer::update_gauges() {
  metrics_.buffered(buffered().buffer_bytes);
  const auto zero = std::chrono::microseconds::zero();
  metrics_.oldest_uncommitted(
      oldest_received_at_ ? std::max(clock_->now() - *oldest_received_at_, zero) : zero);
  const auto now = clock_->monotonic_now();
  metrics_.dedupe_window(keys_.effective_window());
  if (lag_updated_ && now - *lag_updated_ < lag_interval) return;
  lag_updated_ = now;
  update_lag();
  update_table();
}

// Adding up the sizes takes as long as there are files: once for each version.
void Writer::update_table() {
  const delta::Snapshot& snapshot = access_logs_.snapshot();
  if (snapshot.version == table_version_) return;
  table_version_ = snapshot.version;
  std::uint64_t size_bytes = 0;
  for (const auto& [path, file] : snapshot.files) {
    size_bytes += static_cast<std::uint64_t>(file.size_bytes);
  }
  metrics_.table(snapshot.version.value(), snapshot.files.size(), size_bytes);
}

Result<std::int64_t> Writer::entries_behind() {
  std::int64_t entries = 0;
  for (const auto& [partition, state] : partitions_) {
    MR_TRY_ASSIGN(const journal::Offset end, consumer_->end_position(partition));
    entries += std::max<std::int64_t>(end.value() - covered(state), 0);
  }
  return entries;
}

std::int64_t Writer::covered(const PartitionState& state) {
  return state.access_logs_start.value_or(state.first ? state.first->value() : 0);
}

void Writer::update_lag() {
  std::int64_t entries = 0;
  for (auto& [partition, state] : partitions_) {
    const auto end = consumer_->end_position(partition);
    if (!end) return;
    const std::int64_t behind = std::max<std::int64_t>(end->value() - covered(state), 0);
    if (behind == 0) state.behind_since.reset();
    if (behind > 0 && !state.behind_since) state.behind_since = clock_->now();
    const auto age = state.behind_since ? clock_->now() - *state.behind_since
                                        : std::chrono::microseconds::zero();
    metrics_.partition_lag(partition.value(), behind,
                           std::max(age, std::chrono::microseconds::zero()));
    entries += behind;
  }
  metrics_.lag(entries);
}

// Another writer tells it from now on.
void Writer::no_lag_of(const std::vector<journal::Partition>& partitions) {
  for (const journal::Partition partition : partitions) {
    metrics_.partition_lag(partition.value(), 0, std::chrono::microseconds::zero());
  }
}

}  // namespace millrace::writer
