#include "base/time_text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

namespace millrace {
namespace {

using namespace std::chrono_literals;

std::string normal_form(std::string_view text) {
  const auto time = parse_rfc3339(text);
  return time ? to_rfc3339(*time) : "error: " + time.error().message;
}

TEST(ParseRfc3339, ReadsWhatServersWrite) {
  struct Case {
    std::string name, text, expected;
  };
  const Case cases[] = {
      {"seconds", "2026-11-24T08:17:13Z", "2026-11-24T08:17:13.000000Z"},
      {"milliseconds", "2026-11-24T08:17:13.123Z", "2026-11-24T08:17:13.123000Z"},
      {"microseconds", "2026-11-24T08:17:13.000123Z", "2026-11-24T08:17:13.000123Z"},
      {"nanoseconds are cut", "2026-11-24T08:17:13.123456999Z", "2026-11-24T08:17:13.123456Z"},
      {"one digit of a fraction", "2026-11-24T08:17:13.5Z", "2026-11-24T08:17:13.500000Z"},
      {"lower case", "2026-11-24t08:17:13z", "2026-11-24T08:17:13.000000Z"},
      {"blank for T", "2026-11-24 08:17:13", "2026-11-24T08:17:13.000000Z"},
      {"no offset", "2026-11-24T08:17:13.25", "2026-11-24T08:17:13.250000Z"},
      {"east", "2026-11-24T01:00:00+02:30", "2026-11-23T22:30:00.000000Z"},
      {"west", "2026-12-31T20:00:00.1-05:00", "2027-01-01T01:00:00.100000Z"},
      {"unknown local offset", "2026-11-24T08:17:13-00:00", "2026-11-24T08:17:13.000000Z"},
      {"greatest offset", "2026-11-24T08:17:13+23:59", "2026-11-23T08:18:13.000000Z"},
      {"leap second", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"},
      {"leap second with a fraction", "2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000Z"},
      {"leap second elsewhere", "2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00.000000Z"},
      {"leap day", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z"},
      {"leap day of a 400th year", "2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000000Z"},
      {"before the epoch", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
      {"first instant", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"},
      {"last instant", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    EXPECT_EQ(normal_form(test.text), test.expected);
  }
}

TEST(ParseRfc3339, RefusesEverythingElse) {
  const std::string cases[] = {
      "",
      "now",
      "2026-11-24",
      "2026-11-24T08:17Z",
      "2026-11-24T08:17:1",
      "2026-11-24_08:17:13Z",
      "2026/11/24T08:17:13Z",
      "2026-1-24T08:17:13Z0",
      "2026-00-24T08:17:13Z",
      "2026-13-24T08:17:13Z",
      "2026-11-00T08:17:13Z",
      "2026-11-31T08:17:13Z",
      "2026-02-29T08:17:13Z",
      "1900-02-29T08:17:13Z",
      "2026-11-24T24:00:00Z",
      "2026-11-24T08:60:00Z",
      "2026-11-24T08:17:61Z",
      "2026-11-24T08:17:13.Z",
      "2026-11-24T08:17:13,5Z",
      "2026-11-24T08:17:13.1234567890Z",
      "2026-11-24T08:17:13ZZ",
      "2026-11-24T08:17:13 Z",
      "2026-11-24T08:17:13+",
      "2026-11-24T08:17:13+02",
      "2026-11-24T08:17:13+0200",
      "2026-11-24T08:17:13+24:00",
      "2026-11-24T08:17:13+02:60",
      "2026-11-24T08:17:13*02:00",
      "+026-11-24T08:17:13Z",
      "-001-11-24T08:17:13Z",
      " 2026-11-24T08:17:13Z",
      "2026-11-24T08:17:13Z ",
      "0000-01-01T00:00:00+00:01",
      "9999-12-31T23:59:59-00:01",
      "9999-12-31T23:59:60Z",
      std::string("2026-11-24T08:17:13\0", 20),
  };
  for (const std::string& text : cases) {
    SCOPED_TRACE(text);
    const auto time = parse_rfc3339(text);
    ASSERT_FALSE(time) << to_rfc3339(*time);
    EXPECT_EQ(time.error().code, Errc::invalid_argument);
  }
}

TEST(ParseRfc3339, ShowsTheTextInItsErrorButNeverAllOfALongOne) {
  EXPECT_EQ(parse_rfc3339("tomorrow").error().message,
            "\"tomorrow\" is not an RFC 3339 time (want e.g. 2026-11-24T08:17:13Z)");
  EXPECT_LT(parse_rfc3339(std::string(100'000, 'x')).error().message.size(), 200U);
}

TEST(ToRfc3339, ReadsBackToTheSameInstantAndKeepsTheOrderAsText) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const Timestamp first = *parse_rfc3339("0000-01-01T00:00:00Z");
  const Timestamp last = *parse_rfc3339("9999-12-31T23:59:59.999999Z");
  std::uniform_int_distribution<std::int64_t> micros(first.time_since_epoch().count(),
                                                     last.time_since_epoch().count());
  Timestamp before = first;
  for (int i = 0; i < 20'000; ++i) {
    const Timestamp time{std::chrono::microseconds(micros(random))};
    const std::string text = to_rfc3339(time);
    ASSERT_EQ(text.size(), 27U) << text;
    ASSERT_EQ(*parse_rfc3339(text), time) << text;
    ASSERT_EQ(time < before, text < to_rfc3339(before));
    before = time;
  }
}

TEST(AppendRfc3339, KeepsWhatIsThere) {
  std::string out = "at ";
  append_rfc3339(out, Timestamp(1us));
  EXPECT_EQ(out, "at 1970-01-01T00:00:00.000001Z");
}

TEST(DayOf, IsTheUtcDayAlsoBeforeTheEpoch) {
  EXPECT_EQ(to_iso_date(day_of(Timestamp(-1us))), "1969-12-31");
  EXPECT_EQ(to_iso_date(day_of(Timestamp(0us))), "1970-01-01");
}

TEST(ParseIsoDate, ReadsOnlyDatesOfTheCalendar) {
  for (const char* const text : {"2026-11-24", "0000-01-01", "9999-12-31", "2024-02-29"}) {
    ASSERT_TRUE(parse_iso_date(text)) << text;
    EXPECT_EQ(to_iso_date(*parse_iso_date(text)), text);
  }
  for (const char* const text : {"", "2026-11-2", "2026-11-244", "2025-02-29", "2026-11-31",
                                 "20261124xx", "2026-11-24T", "x026-11-24"}) {
    EXPECT_FALSE(parse_iso_date(text)) << text;
  }
  EXPECT_EQ(parse_iso_date("today").error().message,
            "\"today\" is not a date (want e.g. 2026-11-24)");
}

}  // namespace
}  // namespace millrace
