#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/testing/manual_clock.h"
#include "base/time_text.h"
#include "ingest/ingest_service.h"

namespace millrace::ingest {

// A journal that answers at once, as it is told to; or keeps the callbacks for the test to call.
class FakeAppender final : public journal::Appender {
 public:
  Result<void> append(journal::Entry entry, OnDurable on_durable) override {
    if (refusal) return tl::unexpected(*refusal);
    entries.push_back(std::move(entry));
    if (is_slow)
      waiting.push_back(std::move(on_durable));
    else
      on_durable(outcome);
    return {};
  }
  std::size_t entry_size_bytes_max() const override { return 1 << 20; }
  std::optional<std::string> failure() const override { return failing; }

  std::vector<journal::Entry> entries;
  std::vector<OnDurable> waiting;
  std::optional<Error> refusal;
  Result<journal::Offset> outcome = journal::Offset(0);
  std::optional<std::string> failing;
  bool is_slow = false;
};

// A service over a FakeAppender, asked as the server would ask it.
class IngestWorld {
 public:
  struct Answer final : http::Responder::Target {
    void respond(http::Response given) override { response = std::move(given); }
    std::optional<http::Response> response;
  };
  using Query = std::vector<std::pair<std::string, std::string>>;

  explicit IngestWorld(IngestOptions options = {})
      : service(std::move(options), appender, clock, metrics, readiness) {}

  // What is asked, and answered at once or later.
  std::shared_ptr<Answer> start(http::Request request) {
    const auto answer = std::make_shared<Answer>();
    if (auto refused = service.admit(request))
      answer->respond(*std::move(refused));
    else
      service.handle(std::move(request), http::Responder(answer));
    return answer;
  }

  http::Response ask(const std::string& method, const std::string& path,
                     const std::string& body = "", Headers headers = {}, Query query = {}) {
    return *start(request(method, path, body, std::move(headers), std::move(query)))->response;
  }
  http::Response post(const std::string& body, Headers headers = {}, Query query = {}) {
    return ask("POST", "/logs", body, std::move(headers), std::move(query));
  }
  http::Response get(const std::string& path) { return ask("GET", path); }

  static http::Request request(const std::string& method, const std::string& path,
                               const std::string& body, Headers headers = {}, Query query = {}) {
    http::Request request;
    request.method = method;
    request.path = path;
    request.query = std::move(query);
    request.headers = std::move(headers);
    request.body = body;
    request.body_bytes_received = body.size();
    return request;
  }

  static nlohmann::json json(const http::Response& response) {
    return nlohmann::json::parse(response.body);
  }

  // A body of so many good records.
  static std::string records(int count) {
    std::string body = "[";
    for (int i = 0; i < count; ++i) body += (i == 0 ? "" : ",") + std::string(record);
    return body + "]";
  }

  static constexpr const char* record = R"({"timestamp":"2026-01-02T03:04:05Z","path":"/"})";

  ManualClock clock{*parse_rfc3339("2026-02-01T00:00:00Z")};
  MetricsRegistry metrics;
  FakeAppender appender;
  std::optional<std::string> not_ready;
  Readiness readiness{{[this] { return appender.failure(); }, [this] { return not_ready; }}};
  IngestService service;
};

// The value of a header; empty: it is not there.
inline std::string header_of(const http::Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

}  // namespace millrace::ingest
