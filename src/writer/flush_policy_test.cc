#include "writer/flush_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

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

// The model keeps every entry with its time and size, and asks each limit of all of them anew.
class Model {
 public:
  void add(Timestamp at, const Buffered& total) {
    times_.push_back(at);
    buffered_ = total;
  }
  void reset() {
    times_.clear();
    buffered_ = {};
  }
  const Buffered& buffered() const { return buffered_; }

  bool is_due(const FlushLimits& chosen, Timestamp now) const {
    if (times_.empty()) return false;
    const auto [first, last] = std::minmax_element(times_.begin(), times_.end());
    return now - *first >= chosen.age_max || (chosen.idle_max && now - *last >= *chosen.idle_max) ||
           buffered_.journal_bytes >= chosen.journal_bytes_max ||
           buffered_.buffer_bytes >= chosen.buffer_bytes_max ||
           buffered_.records >= chosen.records_max || buffered_.days >= chosen.days_max;
  }

 private:
  std::vector<Timestamp> times_;
  Buffered buffered_;
};

TEST(FlushPolicy, AgreesWithAModel) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&random](unsigned end) { return random() % end; };
    FlushLimits chosen{.journal_bytes_max = 1 + below(3000),
                       .buffer_bytes_max = 1 + below(9000),
                       .records_max = 1 + below(60),
                       .days_max = 1 + below(6),
                       .age_max = std::chrono::milliseconds(1 + below(2000)),
                       .idle_max = std::nullopt};
    if (below(2) == 0) chosen.idle_max = std::chrono::milliseconds(below(500));
    ManualClock clock{Timestamp{}};
    FlushPolicy policy(chosen, clock);
    Model model;
    for (int step = 0; step < 200; ++step) {
      if (below(3) == 0) clock.advance(std::chrono::milliseconds(below(400)));
      if (below(2) == 0) {
        Buffered total = model.buffered();
        total.journal_bytes += below(300);
        total.buffer_bytes += below(900);
        total.records += below(6);
        total.days += below(8) == 0 ? 1 : 0;
        policy.entry_added();
        model.add(clock.now(), total);
      }
      const bool is_due = model.is_due(chosen, clock.now());
      ASSERT_EQ(policy.is_due(model.buffered()), is_due) << "step " << step;
      const auto left = policy.time_left();
      // Waiting for as long as it says is what makes it due.
      if (left && !is_due && below(10) == 0) {
        ASSERT_GT(*left, 0ms);
        clock.advance(*left - 1ms);
        ASSERT_FALSE(policy.is_due(model.buffered()));
        clock.advance(1ms);
        ASSERT_TRUE(policy.is_due(model.buffered()));
      }
      if (policy.is_due(model.buffered()) || below(20) == 0) {
        policy.reset();
        model.reset();
      }
    }
  }
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
