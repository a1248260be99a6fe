#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "analytics/lake_tables.h"
#include "analytics/query_pool.h"
#include "analytics/question.h"
#include "analytics/readers.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "http/server.h"
#include "ingest/readiness.h"
#include "store/object_store.h"

namespace millrace::analytics {

struct AnalyticsOptions {
  ReadAccess access;
  std::string version;  // Of the program: another one may answer otherwise.
  QueryPoolOptions pool;
};

// The analytics API (docs/api.yaml) and the web page. Thread-safe.
class AnalyticsService final : public http::Handler {
 public:
  // All must outlive the service.
  AnalyticsService(AnalyticsOptions options, store::ObjectStore& lake, const Clock& clock,
                   MetricsRegistry& metrics, const ingest::Readiness& readiness);

  // Whether a path is of this service: other ones of the same server are others'.
  static bool owns(std::string_view path);

  // Who may read from now on. From any thread.
  void set_access(ReadAccess access);

  // Brings the gauges of how far the tables have come up to date. Errors: those of LakeTables.
  Result<void> refresh_gauges();

  // Answers what waits and what runs with an error. Before the server stops.
  void stop() { pool_.stop(); }

  std::optional<http::Response> admit(const http::Request& request) override;
  void handle(http::Request request, http::Responder responder) override;
  http::Response failure(const http::Failure& failure) override;

 private:
  // A request that waits for its answer.
  struct Pending {
    http::Request request;
    http::Responder responder;
    StopCheck is_unwanted;
    std::vector<std::string> sites;    // That may be read; empty: all.
    std::optional<Question> question;  // nullopt: freshness.
  };

  std::shared_ptr<const Readers> readers() const;
  http::Response answer_question(const Pending& pending, sql::Engine& engine);
  // How far they have come, and the gauges of it.
  Result<std::vector<TableState>> look_at_tables();
  // `sites`: what whoever asks may read; empty: all.
  http::Response freshness(const std::vector<std::string>& sites);
  void count(std::string_view path, int status);

  const AnalyticsOptions options_;
  store::ObjectStore& lake_;
  const Clock& clock_;
  MetricsRegistry& metrics_;
  const ingest::Readiness& readiness_;
  Histogram& duration_;
  LakeTables tables_;

  mutable std::mutex mutex_;  // Guards readers_.
  std::shared_ptr<const Readers> readers_;

  QueryPool pool_;  // Its threads use all of the above.
};

}  // namespace millrace::analytics
