#include "record/canonical.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace millrace::record {
namespace {

bool equal(const Record& a, const Record& b) {
  return a.timestamp == b.timestamp && a.path == b.path && a.site == b.site && a.query == b.query &&
         a.method == b.method && a.host == b.host && a.referrer == b.referrer &&
         a.user_agent == b.user_agent && a.client_ip == b.client_ip && a.protocol == b.protocol &&
         a.country == b.country && a.status == b.status && a.bytes == b.bytes &&
         a.duration_us == b.duration_us && a.attributes == b.attributes;
}

TEST(Canonical, ReadsBackRandomRecords) {
  const char* pieces[] = {"", "a", "\"", "\\", "\n", "é", "\U0001F600", "\x01", "/path/", "=&?"};
  for (unsigned seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    std::deque<std::string> texts;
    const auto text = [&]() -> std::string_view {
      std::string& made = texts.emplace_back();
      for (std::size_t i = random() % 6; i > 0; --i) made += pieces[random() % std::size(pieces)];
      return made;
    };
    Record record;
    record.timestamp =
        Timestamp(std::chrono::microseconds(random() * 1'000'000LL + random() % 1'000'000));
    record.path = text();
    for (auto member :
         {&Record::site, &Record::query, &Record::method, &Record::host, &Record::referrer,
          &Record::user_agent, &Record::client_ip, &Record::protocol, &Record::country}) {
      if (random() % 2 == 0) record.*member = text();
    }
    if (random() % 2 == 0) record.status = static_cast<std::int32_t>(random() % 500);
    if (random() % 2 == 0) record.bytes = static_cast<std::int64_t>(random()) << 20;
    if (random() % 2 == 0) record.duration_us = 0;
    for (std::size_t i = 0; i < random() % 3; ++i) {
      texts.emplace_back(1, static_cast<char>('a' + i));
      const std::string_view name = texts.back();
      record.attributes.emplace_back(name, text());
    }
    std::string line;
    append_canonical(line, record);
    CanonicalReader reader;
    reader.reset(line);
    const auto read = reader.next();
    ASSERT_TRUE(read) << read.error().message << line;
    EXPECT_TRUE(equal(**read, record)) << line;
    EXPECT_EQ(*reader.next(), nullptr);
  }
}

TEST(Canonical, GoesOnBehindALineThatIsNot) {
  CanonicalReader reader;
  reader.reset(
      "{\"timestamp\":\"2026-01-02T03:04:05Z\",\"path\":\"/a\"}\nnonsense\n{}\n"
      "{\"path\":\"/b\",\"timestamp\":\"2026-01-02T03:04:05Z\"}\n");
  EXPECT_EQ((*reader.next())->path, "/a");
  EXPECT_EQ(reader.next().error().code, Errc::corrupt);
  EXPECT_EQ(reader.line(), "nonsense");
  EXPECT_EQ(reader.next().error().code, Errc::corrupt);
  EXPECT_EQ((*reader.next())->path, "/b");
  EXPECT_EQ(*reader.next(), nullptr);
}

}  // namespace
}  // namespace millrace::record
