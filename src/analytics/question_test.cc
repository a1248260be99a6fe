#include "analytics/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "base/time_text.h"

namespace millrace::analytics {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Parameters = std::vector<std::pair<std::string, std::string>>;

const Timestamp now = *parse_rfc3339("2026-11-24T08:17:13Z");

Result<Question> parse(Topic topic, Parameters parameters, Headers headers = {}) {
  http::Request request{.method = "GET", .path = "/api/v1/x", .query = std::move(parameters)};
  request.headers = std::move(headers);
  return parse_question(topic, request, now);
}

TEST(QuestionTest, IsOfTheLastDayToTheEndOfTheHour) {
  const auto question = parse(Topic::summary, {});
  ASSERT_TRUE(question);
  EXPECT_EQ(to_rfc3339(question->from), "2026-11-23T09:00:00.000000Z");
  EXPECT_EQ(to_rfc3339(question->to), "2026-11-24T09:00:00.000000Z");
  EXPECT_EQ(question->limit, 20);
  EXPECT_FALSE(question->is_csv);
}

TEST(QuestionTest, TakesTimesAndDates) {
  const auto question =
      parse(Topic::timeseries,
            {{"from", "2026-11-01"}, {"to", "2026-11-02T01:00:00+01:00"}, {"step", "day"}});
  ASSERT_TRUE(question);
  EXPECT_EQ(question->to - question->from, 24h);
  EXPECT_EQ(question->step, 24h);
}

TEST(QuestionTest, AsksForCsvByParameterOrHeader) {
  EXPECT_TRUE(parse(Topic::top, {{"format", "csv"}})->is_csv);
  EXPECT_TRUE(parse(Topic::top, {}, {{"accept", "text/csv"}})->is_csv);
  EXPECT_FALSE(parse(Topic::top, {{"format", "json"}}, {{"accept", "text/csv"}})->is_csv);
}

TEST(QuestionTest, KnowsTheParametersOfItsTopic) {
  for (const auto& [topic, name] :
       {std::pair(Topic::summary, "by"), std::pair(Topic::recent, "from"),
        std::pair(Topic::top, "step"), std::pair(Topic::errors, "order")}) {
    const auto question = parse(topic, {{name, "day"}});
    ASSERT_FALSE(question) << name;
    EXPECT_THAT(question.error().message, HasSubstr("is no parameter of this"));
  }
}

TEST(QuestionTest, HasAnEndToItsSteps) {
  const Parameters two_days = {{"from", "2026-11-01"}, {"to", "2026-11-03"}, {"step", "minute"}};
  EXPECT_FALSE(parse(Topic::timeseries, two_days));
  const Parameters a_day = {{"from", "2026-11-01"}, {"to", "2026-11-02"}, {"step", "minute"}};
  EXPECT_TRUE(parse(Topic::timeseries, a_day));
}

TEST(TopicTest, IsThatOfThePath) {
  EXPECT_EQ(topic_of("/api/v1/top"), Topic::top);
  EXPECT_FALSE(topic_of("/api/v1/topp"));
  EXPECT_FALSE(topic_of("/api/v2/top"));
  EXPECT_FALSE(topic_of("top"));
}

}  // namespace
}  // namespace millrace::analytics
