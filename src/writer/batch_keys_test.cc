#include "writer/batch_keys.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/time_text.h"

namespace millrace::writer {
namespace {

using namespace std::chrono_literals;

const Timestamp noon = parse_rfc3339("2026-11-24T12:00:00Z").value();

TEST(BatchKeys, KnowsAKeyForTheWindow) {
  BatchKeys keys({.window = 1h});
  EXPECT_FALSE(keys.contains("a", noon));
  keys.add("a", noon);
  EXPECT_TRUE(keys.contains("a", noon));
  EXPECT_TRUE(keys.contains("a", noon + 1h));
  EXPECT_FALSE(keys.contains("a", noon + 1h + 1us));
  EXPECT_TRUE(keys.contains("a", noon - 1min)) << "the clock of another host";
  EXPECT_FALSE(keys.contains("b", noon));
  keys.add("a", noon + 2h);
  EXPECT_TRUE(keys.contains("a", noon + 3h));
  keys.clear();
  EXPECT_FALSE(keys.contains("a", noon));
}

TEST(BatchKeys, ForgetsTheOldestBeyondItsLimitAndSaysHowFarItReaches) {
  BatchKeys keys({.window = 1h, .keys_max = 2});
  keys.add("a", noon);
  keys.add("b", noon + 1min);
  EXPECT_EQ(keys.effective_window(), 1h);
  keys.add("c", noon + 5min);
  EXPECT_FALSE(keys.contains("a", noon + 5min));
  EXPECT_TRUE(keys.contains("b", noon + 5min));
  EXPECT_TRUE(keys.contains("c", noon + 5min));
  EXPECT_EQ(keys.effective_window(), 4min);
}

// Random arrivals against a plain map; with no limit in reach they must agree.
TEST(BatchKeys, AgreesWithAModel) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    BatchKeys keys({.window = 10min, .keys_max = 2000});
    std::map<std::string, Timestamp> model;
    Timestamp now = noon;
    for (int step = 0; step < 1000; ++step) {
      now += std::chrono::seconds(random() % 60);
      const std::string key = std::to_string(random() % 50);
      const auto found = model.find(key);
      const bool is_repeated = found != model.end() && now - found->second <= 10min;
      ASSERT_EQ(keys.contains(key, now), is_repeated);
      if (is_repeated) continue;
      keys.add(key, now);
      model[key] = now;
    }
    EXPECT_EQ(keys.size(), model.size());
  }
}

}  // namespace
}  // namespace millrace::writer
