#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "base/metrics.h"
#include "record/batch.h"

namespace millrace::ingest {

// `registry` must outlive it. Thread-safe.
class IngestMetrics {
 public:
  explicit IngestMetrics(MetricsRegistry& registry);

  // A whole request, of which request_answered() is told once.
  void request_read(std::size_t body_bytes);
  void request_answered(int status, std::chrono::steady_clock::duration duration);

  // A request that was answered before it was read.
  void request_refused(int status);

  void batch_acknowledged(const record::Batch& batch);

 private:
  Counter& requests(int status);
  void count(int status);
  void add_in_flight(int change);

  MetricsRegistry& registry_;
  Counter& received_bytes_;
  Counter& accepted_;
  Counter& acknowledged_requests_;
  Gauge& in_flight_;
  Histogram& duration_;

  std::mutex mutex_;  // Guards what is below, and in_flight_ that shows it.
  std::int64_t in_flight_count_ = 0;
};

}  // namespace millrace::ingest
