#pragma once

#include "base/metrics.h"
#include "http/server.h"
#include "ingest/readiness.h"

namespace millrace::ingest {

// What operators and Prometheus ask, on a listener of its own: /metrics, /healthz, /readyz.
class AdminService final : public http::Handler {
 public:
  // Both must outlive it.
  AdminService(const Readiness& readiness, const MetricsRegistry& metrics)
      : readiness_(readiness), metrics_(metrics) {}

  std::optional<http::Response> admit(const http::Request& request) override;
  void handle(http::Request request, http::Responder responder) override;
  http::Response failure(const http::Failure& failure) override;

 private:
  const Readiness& readiness_;
  const MetricsRegistry& metrics_;
};

}  // namespace millrace::ingest
