#include "base/units.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace millrace {
namespace {

using namespace std::chrono_literals;

TEST(ParseSize, ReadsPlainBytesAndUnits) {
  const std::pair<std::string, std::uint64_t> cases[] = {
      {"0", 0},
      {"4096", 4096},
      {"7B", 7},
      {"64KiB", 65536},
      {"64 KiB", 65536},
      {"10MiB", 10485760},
      {"2GiB", 2147483648},
      {"1TiB", 1099511627776},
      {"1kB", 1000},
      {"1KB", 1000},
      {"3MB", 3000000},
      {"1GB", 1000000000},
      {"1TB", 1000000000000},
      {"18446744073709551615", UINT64_MAX},
  };
  for (const auto& [text, size_bytes] : cases) {
    SCOPED_TRACE(text);
    const auto size = parse_size(text);
    ASSERT_TRUE(size) << size.error().message;
    EXPECT_EQ(*size, size_bytes);
    EXPECT_EQ(*parse_size(format_size(*size)), *size);
  }
}

TEST(ParseSize, RefusesEverythingElse) {
  for (const char* const text :
       {"", " ", "MiB", "-1", "+1", "1.5MiB", "10 apples", "10  MiB", "10MiB ", "10mib", "10M",
        "1e6", "0x10", "18446744073709551616", "18014398509481984KiB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
  EXPECT_EQ(parse_size("10 apples").error().message,
            "\"10 apples\" is not a size (want e.g. 10MiB)");
}

TEST(FormatSize, TakesTheLargestUnitThatIsExact) {
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(format_size(1023), "1023");
  EXPECT_EQ(format_size(1536), "1536");
  EXPECT_EQ(format_size(1536 * 1024), "1536KiB");
  EXPECT_EQ(format_size(10 << 20), "10MiB");
  EXPECT_EQ(format_size(1'000'000'000), "1GB");
  EXPECT_EQ(format_size(5'000), "5kB");
}

TEST(ParseDuration, ReadsUnits) {
  const std::pair<std::string, std::chrono::milliseconds> cases[] = {
      {"0", 0ms},  {"0s", 0ms},    {"250ms", 250ms}, {"5s", 5s},
      {"5 s", 5s}, {"10m", 10min}, {"1h", 1h},       {"7d", 168h},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    const auto duration = parse_duration(text);
    ASSERT_TRUE(duration) << duration.error().message;
    EXPECT_EQ(*duration, expected);
    EXPECT_EQ(*parse_duration(format_duration(*duration)), *duration);
  }
}

TEST(ParseDuration, RefusesEverythingElse) {
  for (const char* const text :
       {"", "5", "s", "-5s", "1.5s", "5 sec", "5S", "1h30m", "9223372036854775807s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_EQ(parse_duration("5").error().message,
            "\"5\" is not a duration (want e.g. 250ms, 5s, 1h or 7d)");
}

TEST(FormatDuration, TakesTheLargestUnitThatIsExact) {
  EXPECT_EQ(format_duration(0ms), "0");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(120s), "2m");
  EXPECT_EQ(format_duration(24h), "1d");
}

TEST(RoundedSize, IsForPeople) {
  EXPECT_EQ(rounded_size(0), "0 B");
  EXPECT_EQ(rounded_size(1023), "1023 B");
  EXPECT_EQ(rounded_size(4'965'538), "4.7 MiB");
  EXPECT_EQ(rounded_size(128ULL << 20), "128 MiB");
  EXPECT_EQ(rounded_size(5'000ULL << 40), "5000 TiB");
}

}  // namespace
}  // namespace millrace
