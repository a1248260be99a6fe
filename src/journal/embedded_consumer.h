#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "journal/embedded_journal.h"
#include "journal/segment_log.h"
#include "journal/segment_reader.h"

namespace millrace::journal {

// Lets a thread wait until more entries are durable.
class DurableSignal {
 public:
  void notify();

  // Returns when notify() was called after the last wait, or `timeout` has passed.
  void wait(std::chrono::milliseconds timeout);

 private:
  std::mutex mutex_;  // Guards is_notified_.
  std::condition_variable changed_;
  bool is_notified_ = false;
};

// Reads the journal's one partition, which is assigned in the first poll() and never revoked.
class EmbeddedConsumer final : public Consumer {
 public:
  // All must outlive this.
  EmbeddedConsumer(const EmbeddedJournalOptions& options, SegmentLog& log, DurableSignal& signal,
                   MetricsRegistry& metrics, Listener& listener);

  Result<std::vector<ConsumedEntry>> poll(std::chrono::milliseconds timeout) override;
  Result<void> seek(Partition partition, Offset position) override;
  Result<void> committed(Partition partition, Offset position) override;
  std::string progress_id(Partition partition) const override;
  // Whoever takes a journal's folder away means it.
  bool is_former_life(std::string_view, Partition) const override { return false; }
  Result<Offset> end_position(Partition partition) override;

 private:
  Result<void> assign();
  Result<void> check_position(Offset position) const;
  Result<std::vector<ConsumedEntry>> read();
  Result<SegmentReader::Read> read_next();

  const EmbeddedJournalOptions& options_;
  SegmentLog& log_;
  DurableSignal& signal_;
  Listener& listener_;
  Counter& corrupt_entries_;
  std::optional<Offset> position_;  // nullopt: not assigned yet.
  std::optional<SegmentReader> reader_;
};

}  // namespace millrace::journal
