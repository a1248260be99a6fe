#include "columnar/file_stats.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "base/time_text.h"

namespace millrace::columnar {
namespace {

const std::string last_character = "\xF4\x8F\xBF\xBF";

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(StringBounds, EncloseTheValue) {
  const std::string x32 = repeated("x", 32);
  struct Case {
    const char* name;
    std::string value;
    std::string lower;
    std::optional<std::string> upper;
  };
  const Case cases[] = {
      {"empty", "", "", ""},
      {"short", "/index", "/index", "/index"},
      {"32 characters are kept", x32, x32, x32},
      {"one more is cut", x32 + "a", x32, x32 + "\x7F"},
      {"cut before a character above ASCII", x32 + "ä", x32, x32 + last_character},
      {"cut before DEL itself", x32 + "\x7F", x32, x32 + last_character},
      {"cut before the last character of all", x32 + last_character, x32, std::nullopt},
      {"characters count, not bytes", repeated("ä", 32), repeated("ä", 32), repeated("ä", 32)},
      {"a character is never split", repeated("ä", 33), repeated("ä", 32),
       repeated("ä", 32) + last_character},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(string_lower_bound(c.value), c.lower);
    EXPECT_EQ(string_upper_bound(c.value), c.upper);
    EXPECT_LE(string_lower_bound(c.value), c.value);
    if (c.upper) {
      EXPECT_GE(*c.upper, c.value);
    }
  }
}

TEST(TimeBounds, RoundOutwardsToTheMillisecond) {
  struct Case {
    const char* name;
    const char* time;
    std::optional<std::string> lower;
    std::optional<std::string> upper;
  };
  const Case cases[] = {
      {"exact", "2026-11-24T08:17:13.123Z", "2026-11-24T08:17:13.123Z", "2026-11-24T08:17:13.123Z"},
      {"between", "2026-11-24T08:17:13.123001Z", "2026-11-24T08:17:13.123Z",
       "2026-11-24T08:17:13.124Z"},
      {"before 1970", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999Z",
       "1970-01-01T00:00:00.000Z"},
      {"the last microsecond with a text form", "9999-12-31T23:59:59.999999Z",
       "9999-12-31T23:59:59.999Z", std::nullopt},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Timestamp time = parse_rfc3339(c.time).value();
    EXPECT_EQ(time_lower_bound(time), c.lower);
    EXPECT_EQ(time_upper_bound(time), c.upper);
  }
}

}  // namespace
}  // namespace millrace::columnar
