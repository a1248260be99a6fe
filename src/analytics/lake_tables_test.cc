#include "analytics/lake_tables.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>

#include "delta/testing/table_world.h"
#include "store/testing/forwarding_store.h"

namespace millrace::analytics {
namespace {

using namespace std::chrono_literals;

// A store whose reads can be held up, as those of a far one.
class FarStore final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<std::string> get(std::string_view key) override {
    pass();
    return ForwardingStore::get(key);
  }
  Result<store::ObjectInfo> head(std::string_view key) override {
    pass();
    return ForwardingStore::head(key);
  }

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
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_held_; });
    --waiting_;
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
  commit("a");
  ASSERT_EQ(files(), 1U);
  commit("b");
  clock_.advance(2s);
  store_.hold();
  auto looking = std::async(std::launch::async, [this] { return files(); });
  store_.wait_for_a_reader();
  EXPECT_EQ(files(), 1U) << "as it was";
  store_.release();
  EXPECT_EQ(looking.get(), 2U);
  EXPECT_EQ(files(), 2U);
}

TEST_F(LakeTablesTest, WhatIsTooOldIsWaitedFor) {
  commit("a");
  ASSERT_EQ(files(), 1U);
  commit("b");
  clock_.advance(1min);
  store_.hold();
  auto looking = std::async(std::launch::async, [this] { return files(); });
  store_.wait_for_a_reader();
  auto waiting = std::async(std::launch::async, [this] { return files(); });
  store_.release();
  EXPECT_EQ(looking.get(), 2U);
  EXPECT_EQ(waiting.get(), 2U);
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
  clock_.advance(1s);
  EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace millrace::analytics
