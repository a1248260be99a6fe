#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/server.h"

namespace millrace::ingest {

// Whether the process can do its work: why not, or nullopt. Called from any thread.
using ReadinessCheck = std::function<std::optional<std::string>()>;

// What /readyz says. Thread-safe.
class Readiness {
 public:
  explicit Readiness(std::vector<ReadinessCheck> checks) : checks_(std::move(checks)) {}

  // From now on the process is going, so that balancers turn elsewhere.
  void set_draining() { is_draining_ = true; }

  // 200, or 503 with the first reason that there is.
  http::Response response() const;

 private:
  const std::vector<ReadinessCheck> checks_;
  std::atomic<bool> is_draining_{false};
};

}  // namespace millrace::ingest
