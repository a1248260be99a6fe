#pragma once

#include <chrono>
#include <string_view>

#include "base/metrics.h"
#include "record/batch.h"

namespace millrace::ingest {

// `registry` must outlive it. Thread-safe.
class IngestMetrics {
 public:
  explicit IngestMetrics(MetricsRegistry& registry);

  void request_read(std::size_t body_bytes);
  void batch_acknowledged(const record::Batch& batch);
  void answered(int status, std::chrono::steady_clock::duration duration);

 private:
  MetricsRegistry& registry_;
  Counter& received_bytes_;
  Counter& accepted_;
  Histogram& duration_;
};

}  // namespace millrace::ingest
