#include "journal/embedded_consumer.h"

#include <fmt/format.h>

#include <utility>

#include "base/assert.h"
#include "base/log.h"

namespace millrace::journal {

namespace {

constexpr Partition only_partition(0);

}  // namespace

void DurableSignal::notify() {
  {
    const std::lock_guard lock(mutex_);
    is_notified_ = true;
  }
  changed_.notify_one();
}

void DurableSignal::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [this] { return is_notified_; });
  is_notified_ = false;
}

EmbeddedConsumer::EmbeddedConsumer(const EmbeddedJournalOptions& options, SegmentLog& log,
                                   DurableSignal& signal, MetricsRegistry& metrics,
                                   Listener& listener)
    : options_(options),
      log_(log),
      signal_(signal),
      listener_(listener),
      corrupt_entries_(metrics.counter("millrace_journal_corrupt_reads_total",
                                       "Places in the journal whose bytes do not check.")) {}

Result<std::vector<ConsumedEntry>> EmbeddedConsumer::poll(std::chrono::milliseconds timeout) {
  if (!position_) MR_TRY(assign());
  if (log_.end() <= *position_) signal_.wait(timeout);
  if (log_.end() <= *position_) return std::vector<ConsumedEntry>();
  return read();
}

Result<void> EmbeddedConsumer::assign() {
  MR_TRY_ASSIGN(const auto starts, listener_.on_assigned({only_partition}));
  MR_ASSERT(starts.size() == 1);
  const Offset start = starts[0].value_or(log_.oldest());
  MR_TRY(check_position(start));
  position_ = start;
  return {};
}

Result<void> EmbeddedConsumer::check_position(Offset position) const {
  if (position < log_.oldest()) {
    return fail(Errc::corrupt,
                fmt::format("the table covers the journal {} up to position {}, but the journal's "
                            "oldest entry is {}: entries are missing. Restore the journal's older "
                            "segments, or move {} away to start a new journal without them",
                            log_.journal_id(), position.value(), log_.oldest().value(),
                            options_.directory));
  }
  if (position > log_.end()) {
    return fail(
        Errc::corrupt,
        fmt::format("the table covers the journal {} up to position {}, but the journal ends "
                    "at {}: it is older than the table. Restore the journal that belongs to "
                    "the table, or move {} away to start a new one",
                    log_.journal_id(), position.value(), log_.end().value(), options_.directory));
  }
  return {};
}

Result<std::vector<ConsumedEntry>> EmbeddedConsumer::read() {
  std::vector<ConsumedEntry> entries;
  std::size_t size_bytes = 0;
  while (size_bytes < options_.poll_size_bytes_max && *position_ < log_.end()) {
    auto read = read_next();
    if (!read) {
      reader_.reset();
      // The position is behind those that were read: they go first, the next poll meets the error.
      if (!entries.empty()) break;
      return tl::unexpected(std::move(read).error());
    }
    if (read->entry.corrupt_reason) {
      corrupt_entries_.add();
      log(LogLevel::error, "journal: entries do not check",
          {{"reason", *read->entry.corrupt_reason}});
    }
    position_ = read->next;
    // An entry counts for its place in a queue even where it is empty.
    size_bytes += std::max<std::size_t>(read->size_bytes, 64);
    entries.push_back(std::move(read->entry));
  }
  return entries;
}

Result<SegmentReader::Read> EmbeddedConsumer::read_next() {
  const Segment segment = log_.segment_of(*position_);
  if (!reader_ || reader_->first() != segment.first) {
    MR_TRY_ASSIGN(auto file, log_.open_to_read(segment));
    reader_.emplace(log_.path_of(segment), std::move(file), segment.first);
  }
  return reader_->next(*position_, segment);
}

Result<void> EmbeddedConsumer::seek(Partition partition, Offset position) {
  MR_ASSERT(partition == only_partition);
  MR_TRY(check_position(position));
  position_ = position;
  reader_.reset();
  return {};
}

Result<void> EmbeddedConsumer::committed(Partition partition, Offset position) {
  MR_ASSERT(partition == only_partition);
  return log_.forget_below(position);
}

std::string EmbeddedConsumer::progress_id(Partition partition) const {
  return fmt::format("millrace-journal/{}/{}", log_.journal_id(), partition.value());
}

Result<Offset> EmbeddedConsumer::end_position(Partition partition) {
  MR_ASSERT(partition == only_partition);
  return log_.end();
}

}  // namespace millrace::journal
