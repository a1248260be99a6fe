#include <gtest/gtest.h>

#include "delta/delta_table.h"
#include "delta/testing/table_world.h"
#include "store/testing/faulty_store.h"

namespace millrace::delta {
namespace {

using store::Fault;
using store::FaultyStore;
using store::MemoryStore;

// Opens the table, trying once more if a fault was in the way.
DeltaTable opened(store::ObjectStore& store, const Clock& clock) {
  const TableOptions options{.checkpoint_interval_versions = 1};
  auto table = DeltaTable::open_or_create(store, clock, "t", test_schema(), options);
  if (!table) table = DeltaTable::open_or_create(store, clock, "t", test_schema(), options);
  EXPECT_TRUE(table) << table.error().message;
  return *std::move(table);
}

// Goes on after an unknown outcome as a writer does: by what the table says.
void commit_surely(DeltaTable& table, const Commit& commit) {
  const auto version = table.commit(commit);
  if (version) return;
  EXPECT_EQ(version.error().code, Errc::unavailable);
  ASSERT_TRUE(table.refresh());
  const Progress& progress = commit.progress.at(0);
  const auto position = table.snapshot().progress.find(progress.progress_id);
  if (position != table.snapshot().progress.end() && position->second == progress.end) {
    ASSERT_TRUE(table.make_durable());
    return;
  }
  ASSERT_TRUE(table.commit(commit));
}

// Fails each store call in turn, before and after it takes effect. However a commit fails, a writer
// that looks at the table's position and goes on from there has its file in it exactly once.
TEST(DeltaTableFaults, AppendsExactlyOnceWhicheverStoreCallFails) {
  const ManualClock clock{Timestamp()};
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      MemoryStore memory;
      FaultyStore store(memory, fail_at_call, fault);
      DeltaTable table = opened(store, clock);
      commit_surely(table, commit_of("p0", std::nullopt, 10, "a"));
      commit_surely(table, commit_of("p0", 10, 20, "b"));
      const DeltaTable reopened = opened(memory, clock);
      EXPECT_EQ(paths_of(reopened), (std::vector<std::string>{"a", "b"}));
      EXPECT_EQ(reopened.snapshot().version, Version(2)) << "no commit was written twice";
      for (const std::string& key : store.not_durable()) {
        EXPECT_FALSE(key.ends_with(".json") && !key.ends_with("00.json")) << key;
      }
      reached = store.call_count() > fail_at_call;
    }
    EXPECT_GT(fail_at_call, 10) << "the loop must reach past open, refresh, put and checkpoint";
  }
}

// Two writers own the same source, one of them a zombie: whatever call fails, one of them wins.
TEST(DeltaTableFaults, OneOfTwoWritersOfASourceWinsWhicheverStoreCallFails) {
  const ManualClock clock{Timestamp()};
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      MemoryStore memory;
      DeltaTable other = opened(memory, clock);
      FaultyStore store(memory, fail_at_call, fault);
      DeltaTable zombie = opened(store, clock);
      ASSERT_TRUE(other.commit(commit_of("p0", std::nullopt, 10, "theirs")));
      EXPECT_FALSE(zombie.commit(commit_of("p0", std::nullopt, 10, "zombie")));
      EXPECT_EQ(paths_of(opened(memory, clock)), std::vector<std::string>{"theirs"});
      reached = store.call_count() > fail_at_call;
    }
  }
}

}  // namespace
}  // namespace millrace::delta
