#include "analytics/query_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>

#include "base/testing/temp_directory.h"

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
  ASSERT_TRUE(pool.submit("", [&](Result<sql::Engine*> engine) {
    ended.set_value(!run(**engine, endless) && (*engine)->is_interrupted());
  }));
  EXPECT_TRUE(ended.get_future().get());
  std::promise<bool> answered;
  ASSERT_TRUE(pool.submit("", [&](Result<sql::Engine*> engine) {
    answered.set_value(run(**engine, "SELECT 1").has_value());
  }));
  EXPECT_TRUE(answered.get_future().get());
}

TEST(QueryPoolTest, RefusesWhatWouldWaitTooLong) {
  QueryPool pool({.threads = 1, .waiting_max = 1, .timeout = 1h});
  std::promise<void> started;
  std::promise<void> may_end;
  std::promise<void> second;
  ASSERT_TRUE(pool.submit("", [&](const Result<sql::Engine*>&) {
    started.set_value();
    may_end.get_future().wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.submit("", [&](const Result<sql::Engine*>&) { second.set_value(); }));
  EXPECT_FALSE(pool.submit("", [](const Result<sql::Engine*>&) {}));
  may_end.set_value();
  second.get_future().wait();
}

TEST(QueryPoolTest, GivesEachReaderItsTurnHoweverMuchAnotherAsks) {
  QueryPool pool({.threads = 1, .waiting_max = 4, .timeout = 1h});
  std::promise<void> started;
  std::promise<void> may_end;
  std::promise<void> done;
  std::string order;  // Touched by the pool's one thread, and by this one where it is displaced.
  const auto job = [&](std::string name) {
    return [&, name](const Result<sql::Engine*>& engine) {
      order += engine ? name : name + "!";
      if (name == "c2") done.set_value();
    };
  };
  ASSERT_TRUE(pool.submit("a", [&](const Result<sql::Engine*>&) {
    started.set_value();
    may_end.get_future().wait();
  }));
  started.get_future().wait();
  for (const char* name : {"c1", "c2", "c3", "c4"}) EXPECT_TRUE(pool.submit("c", job(name)));
  EXPECT_FALSE(pool.submit("c", job("c5"))) << "it has all the places that there are";
  EXPECT_TRUE(pool.submit("b", job("b1")));
  EXPECT_TRUE(pool.submit("b", job("b2")));
  EXPECT_FALSE(pool.submit("b", job("b3"))) << "both have as many now";
  may_end.set_value();
  done.get_future().wait();
  EXPECT_EQ(order, "c4!c3!b1c1b2c2");
}

TEST(QueryPoolTest, EndsWhatNobodyWantsAnyMoreAndDoesNotBeginIt) {
  QueryPool pool({.threads = 1, .timeout = 1h});
  std::atomic<bool> is_unwanted{false};
  const StopCheck stop = [&] { return is_unwanted.load(); };
  std::promise<void> started;
  std::promise<bool> ended;
  std::promise<Errc> second;
  ASSERT_TRUE(pool.submit(
      "",
      [&](Result<sql::Engine*> engine) {
        started.set_value();
        ended.set_value(!run(**engine, endless));
      },
      stop));
  ASSERT_TRUE(pool.submit(
      "",
      [&](const Result<sql::Engine*>& engine) {
        second.set_value(engine ? Errc::invalid_argument : engine.error().code);
      },
      stop));
  started.get_future().wait();
  is_unwanted = true;
  EXPECT_TRUE(ended.get_future().get());
  EXPECT_EQ(second.get_future().get(), Errc::unavailable);
}

TEST(QueryPoolTest, StopEndsWhatRunsAndDropsWhatWaits) {
  QueryPool pool({.threads = 1, .timeout = 1h});
  std::promise<void> started;
  std::atomic<bool> failed{false};
  std::atomic<bool> ran_second{false};
  ASSERT_TRUE(pool.submit("", [&](Result<sql::Engine*> engine) {
    started.set_value();
    failed = !run(**engine, endless);
  }));
  ASSERT_TRUE(pool.submit("", [&](const Result<sql::Engine*>&) { ran_second = true; }));
  started.get_future().wait();
  pool.stop();
  EXPECT_TRUE(failed);
  EXPECT_FALSE(ran_second);
  EXPECT_FALSE(pool.submit("", [](const Result<sql::Engine*>&) {}));
}

// DuckDB's files for what memory does not hold have the same names in each engine.
TEST(QueryPoolTest, QuestionsThatNeedTheDiskDoNotDisturbEachOther) {
  const std::string large =
      "SELECT count(*) FROM (SELECT range::VARCHAR || repeat('x', 60) AS value, count(*) AS n FROM "
      "range(1400000) GROUP BY value ORDER BY n DESC, value)";
  const TempDirectory folder;
  QueryPool pool({.threads = 2,
                  .timeout = 1h,
                  .engine = {.memory_bytes_max = 150UL << 20,
                             .threads = 1,
                             .temporary_directory = folder.path_of("sql")}});
  std::vector<std::promise<std::string>> answers(8);
  for (auto& answer : answers) {
    ASSERT_TRUE(pool.submit("", [&](Result<sql::Engine*> engine) {
      const auto rows = (*engine)->rows(large);
      answer.set_value(rows ? rows->at(0).at(0).value_or("") : rows.error().message);
    }));
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get_future().get(), "1400000");
}

TEST(QueryPoolTest, GoesOnAfterAnException) {
  QueryPool pool({.threads = 1, .timeout = 1h});
  ASSERT_TRUE(
      pool.submit("", [](const Result<sql::Engine*>&) { throw std::runtime_error("bad"); }));
  std::promise<void> next;
  ASSERT_TRUE(pool.submit("", [&](const Result<sql::Engine*>&) { next.set_value(); }));
  next.get_future().wait();
}

}  // namespace
}  // namespace millrace::analytics
