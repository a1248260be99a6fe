#include <gtest/gtest.h>

#include "ingest/testing/ingest_world.h"

namespace millrace::ingest {
namespace {

// printf secret | sha256sum
const std::string secret_sha256 =
    "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

IngestOptions with_keys() {
  return {.api_keys = {{"free", std::string(64, '0'), "free.example"},
                       {"shop", secret_sha256, "shop.example", 5}}};
}

TEST(IngestKeys, LetInWhoHasOneAndNameTheSite) {
  IngestWorld world(with_keys());
  struct Case {
    const char* name;
    Headers headers;
    int status;
  };
  const Case cases[] = {{"none", {}, 401},
                        {"wrong", {{"x-api-key", "Secret"}}, 401},
                        {"empty", {{"x-api-key", ""}}, 401},
                        {"other scheme", {{"authorization", "Basic secret"}}, 401},
                        {"no scheme", {{"authorization", "secret"}}, 401},
                        {"right", {{"x-api-key", "secret"}}, 202},
                        {"bearer", {{"authorization", "bearer secret"}}, 202}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto answer = world.post(IngestWorld::record, c.headers);
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(header_of(answer, "WWW-Authenticate"), c.status == 401 ? "Bearer" : "");
  }
  EXPECT_EQ(world.appender.entries.size(), 2U);
  const auto batch = record::decode_batch(world.appender.entries[0].headers, "");
  EXPECT_EQ(batch->site, "shop.example");
  EXPECT_EQ(world.get("/healthz").status, 200) << "needs no key";
}

TEST(IngestKeys, SetTheirIdempotencyKeysApart) {
  IngestWorld world(with_keys());
  const auto answer =
      world.post(IngestWorld::record, {{"x-api-key", "secret"}, {"idempotency-key", "k"}});
  EXPECT_EQ(IngestWorld::json(answer)["batch_id"], "k") << "as the client named it";
  const auto batch = record::decode_batch(world.appender.entries.at(0).headers, "");
  EXPECT_EQ(batch->batch_id, "shop/k");
}

TEST(IngestKeys, LimitTheirRateAndSayWhenToComeBack) {
  IngestWorld world(with_keys());
  const Headers key = {{"x-api-key", "secret"}};
  EXPECT_EQ(world.post(IngestWorld::records(15), key).status, 202) << "lent";
  // Ten in debt at five a second: refused by the header alone, and by the body.
  const auto early =
      world.service.admit(IngestWorld::request("POST", "/logs", "", {{"x-api-key", "secret"}}));
  ASSERT_TRUE(early);
  EXPECT_EQ(early->status, 429);
  EXPECT_EQ(header_of(*early, "Retry-After"), "3");
  world.clock.advance(std::chrono::milliseconds(2000));
  EXPECT_EQ(world.post(IngestWorld::records(1), key).status, 429) << "paid off, nothing left";
  world.clock.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(world.post(IngestWorld::records(1), key).status, 202);
  EXPECT_EQ(world.appender.entries.size(), 2U) << "nothing of the refused ones is kept";
}

TEST(IngestLimits, OfRecordsHoldAtTheLimit) {
  IngestWorld world({.decoder = {.records_max = 3}});
  EXPECT_EQ(world.post(IngestWorld::records(3)).status, 202);
  const auto beyond = world.post(IngestWorld::records(4));
  EXPECT_EQ(beyond.status, 413);
  EXPECT_EQ(IngestWorld::json(beyond)["error"]["limit"], 3);
  EXPECT_EQ(world.appender.entries.size(), 1U);
}

TEST(IngestLimits, OfTheReplyCutItsErrorsAndSayIt) {
  IngestWorld world({.reply_errors_max = 2});
  const auto whole = IngestWorld::json(world.post("[{},{}]"));
  EXPECT_EQ(whole["errors"].size(), 2U);
  EXPECT_FALSE(whole.contains("errors_truncated"));
  const auto cut = IngestWorld::json(world.post("[{},{},{}]"));
  EXPECT_EQ(cut["rejected"], 3);
  EXPECT_EQ(cut["errors"].size(), 2U);
  EXPECT_EQ(cut["errors_truncated"], true);
}

TEST(IngestLimits, OfDaysRejectTheRecordsOfFurtherDays) {
  IngestWorld world({.decoder = {.days_max = 1}});
  const auto answer = world.post(R"([{"timestamp":"2026-01-02T23:59:59Z","path":"/"},)"
                                 R"({"timestamp":"2026-01-03T00:00:00Z","path":"/"}])");
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(IngestWorld::json(answer)["accepted"], 1);
  EXPECT_EQ(IngestWorld::json(answer)["errors"][0]["index"], 1);
}

TEST(IngestService, RefusesWhatIsNeitherStrictNorNot) {
  IngestWorld world;
  EXPECT_EQ(world.post(IngestWorld::record, {}, {{"strict", "yes"}}).status, 400);
}

// Any page that somebody looks at on this machine could else write records.
TEST(IngestService, TakesNoBatchOfAStrangePageWithoutAKey) {
  const Headers strange = {{"origin", "http://evil.example"}, {"host", "127.0.0.1:8080"}};
  const auto is_refused = [&](IngestOptions options, Headers headers) {
    IngestWorld world(std::move(options));
    const auto answer = world.service.admit(
        IngestWorld::request("POST", "/logs", IngestWorld::record, std::move(headers)));
    return answer && answer->status == 403;
  };
  EXPECT_TRUE(is_refused({}, strange));
  EXPECT_FALSE(is_refused({.cors_origins = {"http://evil.example"}}, strange));
  EXPECT_FALSE(is_refused({.cors_origins = {"*"}}, strange));
  EXPECT_FALSE(is_refused({}, {{"origin", "http://127.0.0.1:8080"}, {"host", "127.0.0.1:8080"}}))
      << "a page of our own";
  EXPECT_FALSE(is_refused({}, {{"host", "127.0.0.1:8080"}})) << "no page";
}

TEST(IngestLimits, OfIdempotencyKeysHoldAtTheLimit) {
  IngestWorld world;
  const auto status_of = [&world](const std::string& key) {
    return world.post(IngestWorld::record, {{"idempotency-key", key}}).status;
  };
  EXPECT_EQ(status_of(std::string(255, '~')), 202);
  EXPECT_EQ(status_of("!"), 202);
  EXPECT_EQ(status_of(std::string(256, 'x')), 400);
  EXPECT_EQ(status_of(""), 400);
  EXPECT_EQ(status_of("two words"), 400);
  EXPECT_EQ(status_of("\x7f"), 400);
  EXPECT_EQ(status_of("\xc3\xa9"), 400);
}

TEST(IngestOptions, OfOneServiceAreNotThoseOfTheNext) {
  // One thread and, likely, one address.
  for (const std::size_t records_max : {1U, 3U}) {
    const auto world =
        std::make_unique<IngestWorld>(IngestOptions{.decoder = {.records_max = records_max}});
    EXPECT_EQ(world->post(IngestWorld::records(2)).status, records_max == 1 ? 413 : 202);
  }
}

TEST(RateLimiter, LendsTheLastBatchAndWantsItBack) {
  ManualClock clock{Timestamp()};
  RateLimiter limiter(10, clock);
  EXPECT_EQ(limiter.take(25).count(), 0) << "more than the bucket holds, but it was not empty";
  EXPECT_EQ(limiter.take(1).count(), 1600);
  EXPECT_EQ(limiter.take(0).count(), 1600) << "to ask costs nothing";
  clock.advance(std::chrono::milliseconds(1599));
  EXPECT_EQ(limiter.take(1).count(), 0);
}

TEST(ApiKeys, AreFoundByTheirHash) {
  const ApiKeys keys({{"one", std::string(64, '0'), "s"}, {"two", secret_sha256, "s"}});
  EXPECT_EQ(keys.find("secret"), 1U);
  EXPECT_EQ(keys.find("Secret"), std::nullopt);
  EXPECT_EQ(keys.find(""), std::nullopt);
  EXPECT_FALSE(check_sha256("secret"));
}

}  // namespace
}  // namespace millrace::ingest
