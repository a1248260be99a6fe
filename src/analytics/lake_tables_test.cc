#include "analytics/lake_tables.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>

#include "delta/testing/table_world.h"
#include "rollup/definition.h"
#include "store/testing/forwarding_store.h"

namespace millrace::analytics {
namespace {

using namespace std::chrono_literals;

// A store whose reads can be held up, as those of a far one.
class FarStore final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<std::string> get(std::string_view key) override {
    MR_TRY(pass());
    return ForwardingStore::get(key);
  }
  Result<store::ObjectInfo> head(std::string_view key) override {
    MR_TRY(pass());
    MR_TRY_ASSIGN(auto info, ForwardingStore::head(key));
    if (const auto time = times.find(std::string(key)); time != times.end()) {
      info.modified = time->second;
    }
    return info;
  }

  std::map<std::string, Timestamp> times;  // When objects were made.
  bool is_down = false;

  void hold() {
    const std::lock_guard lock(mutex_);
    is_held_ = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    is_held_ = false;
    changed_.notify_all();
  }
  void wait_for_a_reader() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }

 private:
  Result<void> pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_held_; });
    --waiting_;
    return is_down ? Result<void>(fail(Errc::unavailable, "down")) : Result<void>();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_held_ = false;
  int waiting_ = 0;
};

class LakeTablesTest : public testing::Test {
 protected:
  void commit(const std::string& path) {
    auto table = delta::DeltaTable::open_or_create(memory_, clock_, "t", delta::test_schema());
    ASSERT_TRUE(table);
    delta::Commit commit;
    commit.adds.push_back(delta::file_of(path));
    ASSERT_TRUE(table->commit(commit));
  }

  // Somebody looks for what was committed so long ago, and is held up by the store.
  std::future<std::size_t> begin_look(std::chrono::seconds after) {
    commit("a");
    EXPECT_EQ(files(), 1U);
    commit("b");
    clock_.advance(after);
    store_.hold();
    auto looking = std::async(std::launch::async, [this] { return files(); });
    store_.wait_for_a_reader();
    return looking;
  }

  std::size_t files() {
    const auto found = tables_.files("t", {});
    return found && *found ? (*found)->files.size() : 0;
  }

  store::MemoryStore memory_;
  FarStore store_{memory_};
  ManualClock clock_{Timestamp(std::chrono::hours(24 * 20'000))};
  LakeTables tables_{store_, clock_};
};

TEST_F(LakeTablesTest, SeesANewVersionASecondLater) {
  EXPECT_EQ(*tables_.files("t", {}), std::nullopt);
  commit("a");
  EXPECT_EQ(*tables_.files("t", {}), std::nullopt);
  clock_.advance(1s);
  EXPECT_EQ(files(), 1U);
  commit("b");
  EXPECT_EQ(files(), 1U);
  clock_.advance(1s);
  EXPECT_EQ(files(), 2U);
}

TEST_F(LakeTablesTest, OneWaitsForAFarStoreAndTheOthersGoOn) {
  auto looking = begin_look(2s);
  EXPECT_EQ(files(), 1U) << "as it was";
  store_.release();
  EXPECT_EQ(looking.get(), 2U);
  EXPECT_EQ(files(), 2U);
}

TEST_F(LakeTablesTest, WhatIsTooOldIsWaitedFor) {
  auto looking = begin_look(1min);
  auto waiting = std::async(std::launch::async, [this] { return files(); });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  store_.release();
  EXPECT_EQ(looking.get(), 2U);
  EXPECT_EQ(waiting.get(), 2U);
}

TEST_F(LakeTablesTest, WhereTheStoreIsDownItIsNotAskedByEveryQuestion) {
  commit("a");
  ASSERT_EQ(files(), 1U);
  store_.is_down = true;
  clock_.advance(2s);
  EXPECT_EQ(tables_.files("t", {}).error().code, Errc::unavailable);
  EXPECT_EQ(files(), 1U) << "as it was a moment ago";
  clock_.advance(9s);
  EXPECT_EQ(tables_.files("t", {}).error().code, Errc::unavailable);
  store_.is_down = false;
  EXPECT_EQ(tables_.files("t", {}).error().code, Errc::unavailable) << "it was asked just now";
  clock_.advance(2s);
  EXPECT_EQ(files(), 1U);
}

// However new merging makes the files.
TEST_F(LakeTablesTest, ARollupIsBehindSinceTheFirstCommitThatItLacks) {
  const auto& definition = rollup::built_in_rollups().front();
  auto source =
      *delta::DeltaTable::open_or_create(memory_, clock_, "access_logs", delta::test_schema());
  auto rollup =
      *delta::DeltaTable::open_or_create(memory_, clock_, definition.name, delta::test_schema());
  const auto put = [&](const std::string& path) {
    delta::Commit commit;
    commit.adds.push_back(delta::file_of(path));
    commit.adds.back().modified = clock_.now();
    const auto version = source.commit(commit);
    ASSERT_TRUE(version);
    store_.times[fmt::format("access_logs/_delta_log/{:020}.json", version->value())] =
        clock_.now();
  };
  const auto lag_of = [&](const std::string& name) -> std::optional<Lag> {
    clock_.advance(1s);
    const auto states = tables_.states();
    if (!states) return std::nullopt;
    for (const auto& state : *states) {
      if (state.name == name) return state.lag;
    }
    return std::nullopt;
  };
  put("a");
  ASSERT_TRUE(rollup.commit({.operation = "MERGE",
                             .adds = {},
                             .removes = {},
                             .progress = {{definition.progress_id(source.snapshot().table_id),
                                           std::nullopt, source.snapshot().version.value()}}}));
  EXPECT_EQ(lag_of(definition.name)->versions, 0);
  put("b");
  clock_.advance(10min);
  delta::Commit merge{.operation = "OPTIMIZE", .adds = {}, .removes = {}, .progress = {}};
  merge.removes = {{.path = "a", .data_change = false}, {.path = "b", .data_change = false}};
  merge.adds = {delta::file_of("ab")};
  merge.adds.back().modified = clock_.now();
  ASSERT_TRUE(source.commit(merge));
  const auto lag = lag_of(definition.name);
  ASSERT_TRUE(lag);
  EXPECT_EQ(lag->versions, 2);
  EXPECT_GE(lag->time, 10min);
  EXPECT_LT(lag->time, 11min);
  const auto& other = rollup::built_in_rollups().back();
  ASSERT_TRUE(lag_of(other.name)) << "one that was never made is behind too";
  EXPECT_EQ(lag_of(other.name)->versions, source.snapshot().version.value() + 1);
}

TEST_F(LakeTablesTest, FindsATableThatWasMadeAnew) {
  commit("a");
  commit("b");
  ASSERT_EQ(files(), 2U);
  const auto objects = memory_.list("");
  for (const auto& object : *objects) ASSERT_TRUE(memory_.remove(object.key));
  clock_.advance(1s);
  (void)tables_.files("t", {});  // Whoever looks first may get an error.
  commit("c");
  clock_.advance(2s);
  EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace millrace::analytics
