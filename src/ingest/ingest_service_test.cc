#include "ingest/ingest_service.h"
#include "ingest/admin_service.h"

#include <gtest/gtest.h>

#include "ingest/testing/ingest_world.h"

namespace millrace::ingest {
namespace {

class IngestServiceTest : public testing::Test, protected IngestWorld {};

TEST_F(IngestServiceTest, ABatchBecomesOneEntryAndIsAnsweredWhenItIsDurable) {
  appender.is_slow = true;
  const auto answer = start(
      request("POST", "/logs", std::string("[") + record + ",{}]", {{"idempotency-key", "k1"}}));
  EXPECT_FALSE(answer->response) << "it is not on disk yet";
  ASSERT_EQ(appender.entries.size(), 1U);
  EXPECT_NE(metrics.exposition().find("millrace_ingest_requests_in_flight 1"), std::string::npos);
  appender.waiting.at(0)(journal::Offset(7));

  ASSERT_TRUE(answer->response);
  EXPECT_EQ(answer->response->status, 202);
  const auto reply = json(*answer->response);
  EXPECT_EQ(reply["batch_id"], "k1");
  EXPECT_EQ(reply["accepted"], 1);
  EXPECT_EQ(reply["rejected"], 1);
  EXPECT_EQ(reply["errors"][0]["index"], 1);
  EXPECT_FALSE(reply.contains("errors_truncated"));
  const auto batch = record::decode_batch(appender.entries[0].headers, appender.entries[0].value);
  EXPECT_EQ(batch->batch_id, "k1");
  EXPECT_EQ(batch->site, "default");
  EXPECT_EQ(batch->received_at, clock.now());
  EXPECT_EQ(batch->record_count, 1U);
  EXPECT_EQ(batch->rejects.size(), 1U);
}

TEST_F(IngestServiceTest, ABatchWithoutAKeyGetsARandomIdThatIsNotStored) {
  const std::string id = json(post(record))["batch_id"];
  EXPECT_FALSE(id.empty());
  EXPECT_NE(json(post(record))["batch_id"], id);
  const auto batch = record::decode_batch(appender.entries.at(0).headers, "");
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
    appender.refusal.reset();
    if (c.is_refused)
      appender.refusal = Error{c.code, "why"};
    else
      appender.outcome = fail(c.code, "why");
    const auto answer = post(record);
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(json(answer)["error"]["message"], "why");
    EXPECT_EQ(header_of(answer, "Retry-After"), c.status == 413 ? "" : "1");
    EXPECT_EQ(json(answer)["error"].contains("limit"), c.status == 413);
  }
  EXPECT_NE(metrics.exposition().find("millrace_ingest_records_accepted_total 0"),
            std::string::npos);
}

TEST_F(IngestServiceTest, RejectsAloneAreKeptAndStrictKeepsNothing) {
  const auto alone = post("[{}]");
  EXPECT_EQ(alone.status, 400);
  EXPECT_EQ(json(alone)["rejected"], 1);
  EXPECT_EQ(appender.entries.size(), 1U);
  const auto strict = post(std::string("[") + record + ",{}]", {}, {{"strict", "1"}});
  EXPECT_EQ(strict.status, 400);
  EXPECT_EQ(json(strict)["accepted"], 0);
  EXPECT_EQ(post("[]").status, 202) << "nothing to keep";
  EXPECT_EQ(appender.entries.size(), 1U);
  EXPECT_EQ(post(record, {}, {{"strict", "1"}}).status, 202);
}

TEST_F(IngestServiceTest, AFailedBodyIsAnsweredWithItsPlace) {
  const auto answer = post(R"([{"a":tru}])");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(json(answer)["error"]["code"], "bad_request");
  EXPECT_TRUE(json(answer)["error"].contains("byte_offset")) << answer.body;
  EXPECT_TRUE(appender.entries.empty());
}

TEST_F(IngestServiceTest, ReadinessFollowsTheJournalTheChecksAndTheDrain) {
  EXPECT_EQ(get("/readyz").status, 200);
  appender.failing = "disk full";
  EXPECT_EQ(json(get("/readyz"))["error"]["message"], "disk full");
  appender.failing.reset();
  not_ready = "writer stopped";
  EXPECT_EQ(get("/readyz").status, 503);
  not_ready.reset();
  readiness.set_draining();
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(IngestServiceTest, RoutesAndMethodsAreAnsweredProperly) {
  struct Case {
    const char* method;
    const char* path;
    int status;
    const char* allow;
  };
  const Case cases[] = {
      {"GET", "/", 200, ""},
      {"HEAD", "/", 200, ""},
      {"GET", "/openapi.yaml", 200, ""},
      {"GET", "/nothing", 404, ""},
      {"POST", "/nothing", 404, ""},
      {"GET", "/metrics", 404, ""},
      {"GET", "/logs", 405, "POST, OPTIONS"},
      {"HEAD", "/logs", 405, "POST, OPTIONS"},
      {"post", "/logs", 405, "POST, OPTIONS"},
      {"DELETE", "/healthz", 405, "GET, HEAD, OPTIONS"},
      {"OPTIONS", "/logs", 204, "POST, OPTIONS"},
      {"OPTIONS", "/", 204, "GET, HEAD, OPTIONS"},
      {"OPTIONS", "*", 204, "GET, HEAD, POST, OPTIONS"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.method) + " " + c.path);
    const auto answer = ask(c.method, c.path);
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(header_of(answer, "Allow"), c.allow);
    EXPECT_EQ(header_of(answer, "Access-Control-Allow-Origin"), "");
    EXPECT_EQ(answer.body.empty(), c.status == 204);
  }
  EXPECT_TRUE(get("/openapi.yaml").body.starts_with("openapi: 3.1"));
}

TEST_F(IngestServiceTest, WhatTheServerRefusesHasTheSameShapeAndIsCounted) {
  const auto answer = service.failure({.status = 413, .message = "m", .limit = 5, .size = 6});
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(json(answer), nlohmann::json::parse(R"({"error":
      {"code":"too_large","message":"m","limit":5,"size":6}})"));
  post("[{},{}]");
  const std::string exposition = metrics.exposition();
  for (const char* line :
       {"millrace_ingest_requests_total{status=\"413\"} 1",
        "millrace_ingest_requests_total{status=\"400\"} 1",
        "millrace_ingest_records_rejected_total{field=\"timestamp\"} 2",
        "millrace_ingest_requests_in_flight 0", "millrace_ingest_received_bytes_total 7"}) {
    EXPECT_NE(exposition.find(line), std::string::npos) << line << " in " << exposition;
  }
}

TEST_F(IngestServiceTest, TheAdminServiceHasMetricsAndNoBatches) {
  AdminService admin(readiness, metrics);
  const auto status_of = [&admin](const char* method, const char* path) {
    const auto answer = std::make_shared<Answer>();
    admin.handle(request(method, path, ""), http::Responder(answer));
    return answer->response->status;
  };
  EXPECT_EQ(status_of("GET", "/metrics"), 200);
  EXPECT_EQ(status_of("GET", "/healthz"), 200);
  EXPECT_EQ(status_of("POST", "/metrics"), 405);
  EXPECT_EQ(status_of("POST", "/logs"), 404);
  appender.failing = "disk full";
  EXPECT_EQ(status_of("GET", "/readyz"), 503);
  EXPECT_EQ(admin.failure({.status = 408, .message = "late"}).status, 408);
}

}  // namespace
}  // namespace millrace::ingest
