#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "http/server.h"
#include "http/stream.h"

namespace millrace::http {

struct ServerMetrics {
  ServerMetrics(MetricsRegistry& registry, const std::string& listener)
      : connections(registry.gauge("millrace_http_connections", "Open connections.",
                                   {{"listener", listener}})),
        refused(registry.counter("millrace_http_connections_refused_total",
                                 "Connections refused at http.connections_max.",
                                 {{"listener", listener}})) {}
  Gauge& connections;
  Counter& refused;
};

// What all threads of a server share.
struct Shared {
  Shared(ServerOptions chosen, Handler& handler_, MetricsRegistry& registry)
      : options(std::move(chosen)), handler(handler_), metrics(registry, options.name) {}

  const ServerOptions options;
  Handler& handler;
  ServerMetrics metrics;
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> body_bytes{0};
  std::atomic<bool> is_draining{false};

  // What new connections show; null: no TLS.
  std::shared_ptr<Stream::TlsContext> tls() {
    const std::lock_guard lock(mutex);
    return tls_context;
  }

  std::mutex mutex;  // Guards what is below.
  std::shared_ptr<Stream::TlsContext> tls_context;
  std::condition_variable connection_closed;  // Waited for with `mutex`, about `connections`.
};

// Counts a connection while it lives.
class ConnectionCount {
 public:
  explicit ConnectionCount(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    const std::lock_guard lock(shared_->mutex);
    shared_->metrics.connections.set(static_cast<double>(++shared_->connections));
  }
  ~ConnectionCount() {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->metrics.connections.set(static_cast<double>(--shared_->connections));
    }
    shared_->connection_closed.notify_all();
  }
  ConnectionCount(const ConnectionCount&) = delete;
  ConnectionCount& operator=(const ConnectionCount&) = delete;

 private:
  const std::shared_ptr<Shared> shared_;
};

// A share of the memory for bodies, given back when it goes.
class BodyShare {
 public:
  explicit BodyShare(Shared& shared) : shared_(shared) {}
  ~BodyShare() { shared_.body_bytes -= taken_; }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  // Makes the share this large. False: there is not as much, and the share is as it was. A body
  // larger than all there is gets its share where it is alone.
  bool grow_to(std::size_t size_bytes) {
    if (size_bytes <= taken_) return true;
    const std::size_t more_bytes = size_bytes - taken_;
    const std::size_t others_bytes = shared_.body_bytes.fetch_add(more_bytes) - taken_;
    if (others_bytes == 0 ||
        others_bytes + size_bytes <= shared_.options.bodies_in_flight_bytes_max) {
      taken_ = size_bytes;
      return true;
    }
    shared_.body_bytes -= more_bytes;
    return false;
  }

 private:
  Shared& shared_;
  std::size_t taken_ = 0;
};

}  // namespace millrace::http
