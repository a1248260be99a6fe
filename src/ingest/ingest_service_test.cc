#include "ingest/ingest_service.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/testing/manual_clock.h"
#include "base/time_text.h"

namespace millrace::ingest {
namespace {

// Answers at once, as it is told to.
class FakeAppender final : public journal::Appender {
 public:
  Result<void> append(journal::Entry entry, OnDurable on_durable) override {
    if (refusal) return tl::unexpected(*refusal);
    entries.push_back(std::move(entry));
    on_durable(outcome);
    return {};
  }
  std::size_t entry_size_bytes_max() const override { return 1 << 20; }
  std::optional<std::string> failure() const override { return failing; }

  std::vector<journal::Entry> entries;
  std::optional<Error> refusal;
  Result<journal::Offset> outcome = journal::Offset(0);
  std::optional<std::string> failing;
};

class IngestServiceTest : public testing::Test {
 protected:
  struct Answer final : http::Responder::Target {
    void respond(http::Response given) override { response = std::move(given); }
    http::Response response;
  };

  http::Response ask(http::Request request) {
    if (auto refused = service_.admit(request)) return *refused;
    const auto answer = std::make_shared<Answer>();
    service_.handle(std::move(request), http::Responder(answer));
    return answer->response;
  }

  http::Response post(const std::string& body, Headers headers = {},
                      std::vector<std::pair<std::string, std::string>> query = {}) {
    http::Request request;
    request.method = "POST";
    request.path = "/logs";
    request.query = std::move(query);
    request.headers = std::move(headers);
    request.body = body;
    return ask(std::move(request));
  }

  http::Response get(const std::string& path) {
    http::Request request;
    request.method = "GET";
    request.path = path;
    return ask(std::move(request));
  }

  static nlohmann::json json(const http::Response& response) {
    return nlohmann::json::parse(response.body);
  }

  static constexpr const char* record = R"({"timestamp":"2026-01-02T03:04:05Z","path":"/"})";

  ManualClock clock_{*parse_rfc3339("2026-02-01T00:00:00Z")};
  MetricsRegistry metrics_;
  FakeAppender appender_;
  std::optional<std::string> not_ready_;
  IngestService service_{
      IngestOptions{}, appender_, clock_, metrics_, {[this] { return not_ready_; }}};
};

TEST_F(IngestServiceTest, ABatchBecomesOneEntryAndIsAnsweredWhenItIsDurable) {
  const auto answer = post(std::string("[") + record + ",{}]", {{"idempotency-key", "k1"}});
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(json(answer)["batch_id"], "k1");
  EXPECT_EQ(json(answer)["errors"][0]["index"], 1);
  ASSERT_EQ(appender_.entries.size(), 1U);
  const auto batch = record::decode_batch(appender_.entries[0].headers, appender_.entries[0].value);
  EXPECT_EQ(batch->batch_id, "k1");
  EXPECT_EQ(batch->site, "default");
  EXPECT_EQ(batch->received_at, clock_.now());
  EXPECT_EQ(batch->record_count, 1U);
  EXPECT_EQ(batch->rejects.size(), 1U);
}

TEST_F(IngestServiceTest, ABatchWithoutAKeyGetsARandomIdThatIsNotStored) {
  EXPECT_FALSE(json(post(record))["batch_id"].get<std::string>().empty());
  const auto batch = record::decode_batch(appender_.entries.at(0).headers, "");
  EXPECT_EQ(batch->batch_id, std::nullopt);
}

TEST_F(IngestServiceTest, NothingIsAcknowledgedThatTheJournalDoesNotHave) {
  struct Case {
    const char* name;
    Errc code;
    bool is_refused;
    int status;
  };
  const Case cases[] = {{"queue full", Errc::exhausted, true, 503},
                        {"journal closed", Errc::unavailable, true, 503},
                        {"entry too large", Errc::invalid_argument, true, 413},
                        {"disk full", Errc::exhausted, false, 503},
                        {"sync failed", Errc::unavailable, false, 503}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    appender_.refusal.reset();
    if (c.is_refused)
      appender_.refusal = Error{c.code, "why"};
    else
      appender_.outcome = fail(c.code, "why");
    const auto answer = post(record);
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(json(answer)["error"]["message"], "why");
    EXPECT_EQ(answer.headers.empty(), c.status == 413) << "Retry-After";
  }
}

TEST_F(IngestServiceTest, RejectsAloneAreKeptAndStrictKeepsNothing) {
  EXPECT_EQ(post("[{}]").status, 400);
  EXPECT_EQ(appender_.entries.size(), 1U);
  const auto strict = post(std::string("[") + record + ",{}]", {}, {{"strict", "1"}});
  EXPECT_EQ(strict.status, 400);
  EXPECT_EQ(json(strict)["accepted"], 0);
  EXPECT_EQ(post("[]").status, 202) << "nothing to keep";
  EXPECT_EQ(appender_.entries.size(), 1U);
}

TEST_F(IngestServiceTest, AFailedBodyIsAnsweredWithItsPlace) {
  const auto answer = post(R"([{"a":tru}])");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(json(answer)["error"]["code"], "bad_request");
  EXPECT_TRUE(json(answer)["error"].contains("byte_offset")) << answer.body;
  EXPECT_EQ(post("<xml/>", {{"content-type", "application/xml"}}).status, 415);
  EXPECT_TRUE(appender_.entries.empty());
}

TEST_F(IngestServiceTest, ReadinessFollowsTheJournalTheChecksAndTheDrain) {
  EXPECT_EQ(get("/readyz").status, 200);
  appender_.failing = "disk full";
  EXPECT_EQ(json(get("/readyz"))["error"]["message"], "disk full");
  appender_.failing.reset();
  not_ready_ = "writer stopped";
  EXPECT_EQ(get("/readyz").status, 503);
  not_ready_.reset();
  service_.set_draining();
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST(RateLimiter, LendsTheLastBatchAndWantsItBack) {
  ManualClock clock{Timestamp()};
  RateLimiter limiter(10, clock);
  EXPECT_EQ(limiter.take(25).count(), 0) << "more than the bucket holds, but it was not empty";
  EXPECT_EQ(limiter.take(1).count(), 1600);
  clock.advance(std::chrono::milliseconds(1599));
  EXPECT_EQ(limiter.take(1).count(), 0);
}

TEST(ApiKeys, AreFoundByTheirHash) {
  // printf secret | sha256sum
  const std::string sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
  const ApiKeys keys({{"one", std::string(64, '0'), "s"}, {"two", sha256, "s"}});
  EXPECT_EQ(keys.find("secret"), 1U);
  EXPECT_EQ(keys.find("Secret"), std::nullopt);
  EXPECT_EQ(keys.find(""), std::nullopt);
  EXPECT_FALSE(check_sha256("secret"));
}

}  // namespace
}  // namespace millrace::ingest
