#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "analytics/analytics_service.h"
#include "http/server.h"
#include "ingest/ingest_service.h"

namespace millrace::apps {

// One port for batches, analytics and the web page: each request goes to the service that its path
// is of. Thread-safe.
class FrontDoor final : public http::Handler {
 public:
  // Both must outlive it.
  FrontDoor(ingest::IngestService& ingest, analytics::AnalyticsService& analytics)
      : ingest_(ingest), analytics_(analytics) {}

  std::optional<http::Response> admit(const http::Request& request) override {
    return service_of(request).admit(request);
  }
  void handle(http::Request request, http::Responder responder) override {
    http::Handler& service = service_of(request);
    service.handle(std::move(request), std::move(responder));
  }
  http::Response failure(const http::Failure& failure) override { return ingest_.failure(failure); }

 private:
  http::Handler& service_of(const http::Request& request) {
    if (!analytics::AnalyticsService::owns(request.path)) return ingest_;
    // Browsers ask for a page, others want to know what this is.
    const bool wants_page = request.path != "/" || request.header("accept").value_or("").find(
                                                       "text/html") != std::string_view::npos;
    if (wants_page) return analytics_;
    return ingest_;
  }

  ingest::IngestService& ingest_;
  analytics::AnalyticsService& analytics_;
};

}  // namespace millrace::apps
