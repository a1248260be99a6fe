#include "analytics/query_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>

namespace millrace::analytics {
namespace {

using namespace std::chrono_literals;

// Takes minutes where nobody ends it.
constexpr const char* endless =
    "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7";

struct NoRows final : sql::RowSink {
  void columns(const std::vector<sql::ResultColumn>&) override {}
  bool row(const sql::ResultRow&) override { return true; }
};

Result<void> run(sql::Engine& engine, const std::string& sql) {
  NoRows sink;
  return engine.query(sql, sink);
}

TEST(QueryPoolTest, EndsWhatTakesTooLongAndGoesOn) {
  QueryPool pool({.threads = 1, .timeout = 50ms});
  std::promise<bool> ended;
  ASSERT_TRUE(pool.submit([&](Result<sql::Engine*> engine) {
    ended.set_value(!run(**engine, endless) && (*engine)->is_interrupted());
  }));
  EXPECT_TRUE(ended.get_future().get());
  std::promise<bool> answered;
  ASSERT_TRUE(pool.submit([&](Result<sql::Engine*> engine) {
    answered.set_value(run(**engine, "SELECT 1").has_value());
  }));
  EXPECT_TRUE(answered.get_future().get());
}

TEST(QueryPoolTest, RefusesWhatWouldWaitTooLong) {
  QueryPool pool({.threads = 1, .waiting_max = 1, .timeout = 1h});
  std::promise<void> started;
  std::promise<void> may_end;
  std::promise<void> second;
  ASSERT_TRUE(pool.submit([&](const Result<sql::Engine*>&) {
    started.set_value();
    may_end.get_future().wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.submit([&](const Result<sql::Engine*>&) { second.set_value(); }));
  EXPECT_FALSE(pool.submit([](const Result<sql::Engine*>&) {}));
  may_end.set_value();
  second.get_future().wait();
}

TEST(QueryPoolTest, StopEndsWhatRunsAndDropsWhatWaits) {
  QueryPool pool({.threads = 1, .timeout = 1h});
  std::promise<void> started;
  std::atomic<bool> failed{false};
  std::atomic<bool> ran_second{false};
  ASSERT_TRUE(pool.submit([&](Result<sql::Engine*> engine) {
    started.set_value();
    failed = !run(**engine, endless);
  }));
  ASSERT_TRUE(pool.submit([&](const Result<sql::Engine*>&) { ran_second = true; }));
  started.get_future().wait();
  pool.stop();
  EXPECT_TRUE(failed);
  EXPECT_FALSE(ran_second);
  EXPECT_FALSE(pool.submit([](const Result<sql::Engine*>&) {}));
}

TEST(QueryPoolTest, GoesOnAfterAnException) {
  QueryPool pool({.threads = 1, .timeout = 1h});
  ASSERT_TRUE(pool.submit([](const Result<sql::Engine*>&) { throw std::runtime_error("bad"); }));
  std::promise<void> next;
  ASSERT_TRUE(pool.submit([&](const Result<sql::Engine*>&) { next.set_value(); }));
  next.get_future().wait();
}

}  // namespace
}  // namespace millrace::analytics
