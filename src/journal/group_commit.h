#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "journal/embedded_journal.h"
#include "journal/segment_log.h"

namespace millrace::journal {

// Makes the entries of many threads durable on one of its own: while one group is being synced, the
// next collects.
class GroupCommit final : public Appender {
 public:
  // All must outlive this. `on_durable` is called on the journal's thread after each group.
  GroupCommit(const EmbeddedJournalOptions& options, SegmentLog& log, MetricsRegistry& metrics,
              std::function<void()> on_durable);
  ~GroupCommit() override { close(); }

  Result<void> append(Entry entry, OnDurable on_durable) override;
  std::size_t entry_size_bytes_max() const override { return options_.entry_size_bytes_max; }
  std::optional<std::string> failure() const override;

  // Ends the thread once the queue is empty. Repeating is safe.
  void close();

 private:
  struct Waiting {
    std::vector<EncodedEntry> entries;
    std::vector<OnDurable> callbacks;
    std::size_t size_bytes = 0;
  };

  void run();
  void commit(Waiting group);
  void probe();
  void note(const Error* error);
  bool has_room_for(std::size_t size_bytes) const;
  std::string full_message() const;

  const EmbeddedJournalOptions& options_;
  SegmentLog& log_;
  const std::function<void()> on_durable_;
  Counter& entries_;
  Counter& bytes_;
  Counter& failures_;
  Histogram& duration_;
  Gauge& size_;

  // Of the last entry that found the journal full; 0: none did.
  std::atomic<std::size_t> refused_bytes_{0};

  mutable std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  Waiting waiting_;
  bool closed_ = false;
  std::optional<std::string> failure_;

  std::thread thread_;
};

}  // namespace millrace::journal
