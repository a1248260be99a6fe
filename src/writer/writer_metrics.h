#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/metrics.h"

namespace millrace::writer {

// What the writer tells about itself. `registry` must outlive it.
class WriterMetrics {
 public:
  explicit WriterMetrics(MetricsRegistry& registry);

  using Duration = std::chrono::steady_clock::duration;

  void entry_read() { entries_.add(); }
  void dead_letters_committed(std::size_t letters);
  void access_logs_committed(std::size_t records);
  void commit_took(Duration duration);
  void flush_took(Duration duration);
  void duplicate_dropped() { duplicates_.add(); }
  void dedupe_window(std::chrono::microseconds window);
  void was_fenced() { fenced_.add(); }
  void attempt_failed() { failures_.add(); }
  void is_failing(bool failing) { failing_.set(failing ? 1 : 0); }
  void buffered(std::size_t size_bytes) { buffered_bytes_.set(static_cast<double>(size_bytes)); }
  void oldest_uncommitted(std::chrono::microseconds age);
  void partition_lag(std::int32_t partition, std::int64_t entries, std::chrono::microseconds age);
  // The table access_logs, as this writer knows it.
  void table(std::int64_t version, std::size_t files, std::uint64_t size_bytes);
  void lag(std::int64_t entries) { lag_entries_.set(static_cast<double>(entries)); }

 private:
  MetricsRegistry& registry_;
  Counter& entries_;
  Counter& records_;
  Counter& dead_letters_;
  Counter& flushes_;
  Counter& duplicates_;
  Counter& fenced_;
  Counter& failures_;
  Histogram& flush_seconds_;
  Histogram& commit_seconds_;
  Gauge& failing_;
  Gauge& buffered_bytes_;
  Gauge& freshness_seconds_;
  Gauge& lag_entries_;
  Gauge& dedupe_window_seconds_;
  Gauge& table_version_;
  Gauge& table_files_;
  Gauge& table_bytes_;
};

}  // namespace millrace::writer
