#include "base/log.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "base/time_text.h"

namespace millrace {
namespace {

// Runs `write` with logging set up, and returns what went to standard error.
template <typename Function>
std::string lines_of(LogFormat format, LogLevel level_min, Function write) {
  testing::internal::CaptureStderr();
  set_up_logging(format, level_min);
  write();
  set_up_logging(LogFormat::text, LogLevel::info);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesTextWithUtcTimeLevelAndFields) {
  const std::string line = lines_of(LogFormat::text, LogLevel::info, [] {
    log(LogLevel::warn, "writer: fell behind",
        {{"entries", 12}, {"site", "shop"}, {"reason", "a \"slow\" disk"}, {"empty", ""}});
  });
  ASSERT_GT(line.size(), 27U);
  EXPECT_TRUE(parse_rfc3339(line.substr(0, 27))) << line;
  EXPECT_EQ(line.substr(27),
            " warn  writer: fell behind entries=12 site=shop reason=\"a \\\"slow\\\" disk\" "
            "empty=\"\"\n");
}

TEST(Log, KeepsOneEventOnOneLineWhateverItHolds) {
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    const std::string line = lines_of(format, LogLevel::info, [] {
      log(LogLevel::info, "first\nsecond\r", {{"key", "third\n\x1b[31m{}%v"}});
    });
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    EXPECT_EQ(line.find('\r'), std::string::npos) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos) << line;
    EXPECT_NE(line.find("{}%v"), std::string::npos) << line;
  }
}

TEST(Log, WritesJsonThatParsesForAnyBytes) {
  const std::string line = lines_of(LogFormat::json, LogLevel::info, [] {
    log(LogLevel::error, "said \"no\"",
        {{"version", 3},
         {"seconds", 0.25},
         {"ratio", std::numeric_limits<double>::quiet_NaN()},
         {"digits", "3"},
         {"bytes", std::string("\xff\0a\xc3\xa9", 5)}});
  });
  const auto event = nlohmann::json::parse(line);
  EXPECT_TRUE(parse_rfc3339(event["time"].get<std::string>()));
  EXPECT_EQ(event["level"], "error");
  EXPECT_EQ(event["event"], "said \"no\"");
  EXPECT_EQ(event["version"], 3);
  EXPECT_EQ(event["seconds"], 0.25);
  EXPECT_EQ(event["ratio"], "nan");
  EXPECT_EQ(event["digits"], "3");
  EXPECT_EQ(event["bytes"], std::string("\xef\xbf\xbd\0a\xc3\xa9", 7));
}

TEST(Log, DropsWhatIsBelowTheLevel) {
  const std::string lines = lines_of(LogFormat::text, LogLevel::warn, [] {
    log(LogLevel::info, "routine");
    log(LogLevel::error, "trouble");
  });
  EXPECT_EQ(lines.find("routine"), std::string::npos);
  EXPECT_NE(lines.find("trouble"), std::string::npos);
}

TEST(ParseLogLevel, NamesTheWordsItKnows) {
  EXPECT_EQ(*parse_log_level("warn"), LogLevel::warn);
  EXPECT_EQ(parse_log_level("loud").error().message,
            "\"loud\" is not a log level (want debug, info, warn or error)");
  EXPECT_EQ(*parse_log_format("json"), LogFormat::json);
  EXPECT_FALSE(parse_log_format("xml"));
}

}  // namespace
}  // namespace millrace
