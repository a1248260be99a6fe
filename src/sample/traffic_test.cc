#include "sample/traffic.h"

#include <gtest/gtest.h>

#include <map>

#include "base/time_text.h"

namespace millrace::sample {
namespace {

TrafficOptions options_of(TrafficFormat format) {
  return {.seed = 7,
          .records = 20'000,
          .begin = *parse_rfc3339("2026-01-01T00:00:00Z"),
          .format = format};
}

std::string all_lines(TrafficOptions options) {
  Traffic traffic(options);
  std::string text;
  while (traffic.append_line(text)) {
  }
  return text;
}

TEST(Traffic, IsTheSameForTheSameSeed) {
  auto options = options_of(TrafficFormat::combined);
  const std::string first = all_lines(options);
  EXPECT_EQ(first, all_lines(options));
  options.seed = 8;
  EXPECT_NE(first, all_lines(options));
}

TEST(Traffic, StaysWithinItsSpanInAscendingOrder) {
  const std::string text = all_lines(options_of(TrafficFormat::ndjson));
  const auto begin = *parse_rfc3339("2026-01-01T00:00:00Z");
  Timestamp last = begin;
  std::size_t records = 0;
  std::map<std::string, int> by_path;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1, ++records) {
    const auto time = parse_rfc3339(std::string_view(text).substr(at + 14, 27));
    ASSERT_TRUE(time) << text.substr(at, 60);
    EXPECT_GE(*time, last);
    last = *time;
    const std::size_t path = text.find("\"path\":\"", at) + 8;
    ++by_path[text.substr(path, text.find('"', path) - path)];
  }
  EXPECT_EQ(records, 20'000U);
  EXPECT_LT(last, begin + std::chrono::hours(24));
  EXPECT_GT(by_path["/"], by_path["/robots.txt"]) << "the first rank leads";
  EXPECT_GT(by_path.size(), 1000U) << "with a long tail";
}

}  // namespace
}  // namespace millrace::sample
