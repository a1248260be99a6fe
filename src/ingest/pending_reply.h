#pragma once

#include <chrono>
#include <utility>

#include "base/clock.h"
#include "http/server.h"
#include "ingest/ingest_metrics.h"

namespace millrace::ingest {

// The answer that a batch waits for, from any thread. Measures the request until it is sent;
// destroyed unsent it is answered with 500. Move-only. `metrics` and `clock` must outlive it.
class PendingReply {
 public:
  PendingReply(http::Responder responder, IngestMetrics& metrics, const Clock& clock)
      : responder_(std::move(responder)),
        metrics_(&metrics),
        clock_(&clock),
        start_(clock.monotonic_now()) {}
  PendingReply(PendingReply&& other) noexcept
      : responder_(std::move(other.responder_)),
        metrics_(std::exchange(other.metrics_, nullptr)),
        clock_(other.clock_),
        start_(other.start_) {}
  PendingReply& operator=(PendingReply&&) = delete;
  ~PendingReply() { count(500); }

  void send(http::Response response) {
    count(response.status);
    responder_.respond(std::move(response));
  }

 private:
  void count(int status) {
    IngestMetrics* metrics = std::exchange(metrics_, nullptr);
    if (metrics != nullptr) metrics->request_answered(status, clock_->monotonic_now() - start_);
  }

  http::Responder responder_;
  IngestMetrics* metrics_;  // Null once it is counted.
  const Clock* clock_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace millrace::ingest
