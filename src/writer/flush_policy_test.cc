#include "writer/flush_policy.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"

namespace millrace::writer {
namespace {

using namespace std::chrono_literals;

const FlushLimits limits = {.journal_bytes_max = 1000,
                            .buffer_bytes_max = 5000,
                            .records_max = 100,
                            .days_max = 3,
                            .age_max = 5s,
                            .idle_max = 1s};

constexpr Buffered little = {.journal_bytes = 999, .buffer_bytes = 4999, .records = 99, .days = 2};

TEST(FlushPolicy, IsDueAtEachLimitOfSize) {
  struct Case {
    const char* name;
    Buffered buffered;
    bool is_due;
  };
  const Case cases[] = {
      {"below all", little, false},
      {"journal bytes", {.journal_bytes = 1000}, true},
      {"buffer bytes", {.buffer_bytes = 5000}, true},
      {"records", {.records = 100}, true},
      {"days", {.days = 3}, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    ManualClock clock{Timestamp{}};
    FlushPolicy policy(limits, clock);
    EXPECT_FALSE(policy.is_due(c.buffered)) << "nothing was added";
    policy.entry_added();
    EXPECT_EQ(policy.is_due(c.buffered), c.is_due);
    policy.reset();
    EXPECT_FALSE(policy.is_due(c.buffered));
  }
}

TEST(FlushPolicy, IsDueWhenNoEntryComesForAWhile) {
  ManualClock clock{Timestamp{}};
  FlushPolicy policy(limits, clock);
  policy.entry_added();
  clock.advance(999ms);
  EXPECT_FALSE(policy.is_due(little));
  policy.entry_added();
  clock.advance(999ms);
  EXPECT_FALSE(policy.is_due(little)) << "the second entry came in between";
  clock.advance(1ms);
  EXPECT_TRUE(policy.is_due(little));
}

TEST(FlushPolicy, IsDueAtTheAgeOfTheFirstEntryHoweverManyCome) {
  ManualClock clock{Timestamp{}};
  FlushPolicy policy(limits, clock);
  for (int i = 0; i < 10; ++i) {
    policy.entry_added();
    EXPECT_FALSE(policy.is_due(little));
    clock.advance(500ms);
  }
  EXPECT_TRUE(policy.is_due(little));
}

TEST(FlushPolicy, LooksAtAgeAloneWithoutAnIdleLimit) {
  ManualClock clock{Timestamp{}};
  FlushLimits patient = limits;
  patient.idle_max.reset();
  FlushPolicy policy(patient, clock);
  policy.entry_added();
  clock.advance(4999ms);
  EXPECT_FALSE(policy.is_due(little));
  clock.advance(1ms);
  EXPECT_TRUE(policy.is_due(little));
}

TEST(FlushPolicy, TellsHowLongToWait) {
  ManualClock clock{Timestamp{}};
  FlushPolicy policy(limits, clock);
  EXPECT_EQ(policy.time_left(), std::nullopt);
  policy.entry_added();
  EXPECT_EQ(policy.time_left(), 1000ms);
  clock.advance(300ms);
  EXPECT_EQ(policy.time_left(), 700ms);
  clock.advance(1h);
  EXPECT_EQ(policy.time_left(), 0ms);
}

}  // namespace
}  // namespace millrace::writer
