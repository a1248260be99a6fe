#include <gtest/gtest.h>

#include "store/testing/faulty_store.h"
#include "store/testing/forwarding_store.h"
#include "writer/testing/writer_world.h"

// What the tables hold after store calls fail in every place: each record and each reject once.
namespace millrace::writer {
namespace {

using store::Fault;
using store::FaultyStore;
using Strings = std::multiset<std::string>;

class WriterFaultTest : public testing::Test {
 protected:
  static void append_entries(WriterWorld& world) {
    world.append({"/a", "/b"}, {"bad1"});
    world.append({"/c"});
    world.append({"/d"}, {"bad2"});
  }

  static void expect_each_once(WriterWorld& world) {
    EXPECT_EQ(world.paths(), (Strings{"/a", "/b", "/c", "/d"}));
    EXPECT_EQ(world.dead_payloads(), (Strings{"bad1", "bad2"}));
    EXPECT_EQ(world.position("access_logs"), 3);
  }

  // The journal has been told that all of it is in the tables.
  static void expect_durable(const FaultyStore& store) {
    for (const std::string& key : store.not_durable()) {
      EXPECT_EQ(key.find("_delta_log/000000000000000"), std::string::npos) << key;
    }
  }

  // A writer alone recognises its own commit; it does not take itself for another.
  static void expect_not_fenced(WriterWorld& world) {
    EXPECT_EQ(world.registry.counter("millrace_writer_fenced_total", "").value(), 0);
  }

  // Two entries a poll and two records a flush, so that there are several flushes.
  static RunningWriter start(WriterWorld& world, store::ObjectStore& store) {
    world.options.flush.records_max = 2;
    return world.start(store, 2);
  }
};

TEST_F(WriterFaultTest, AWriterThatGoesOnWritesEachRecordOnceWhicheverStoreCallFails) {
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      WriterWorld world;
      append_entries(world);
      FaultyStore store(world.memory, fail_at_call, fault);
      RunningWriter running = start(world, store);
      world.run(running);
      expect_each_once(world);
      expect_not_fenced(world);
      expect_durable(store);
      reached = store.call_count() > fail_at_call;
    }
    EXPECT_GT(fail_at_call, 20) << "the loop must reach past files and commits";
  }
}

// The second failure hits what reads the first one's outcome.
TEST_F(WriterFaultTest, AWriterThatGoesOnWritesEachRecordOnceWhicheverTwoCallsInARowFail) {
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      WriterWorld world;
      append_entries(world);
      FaultyStore inner(world.memory, fail_at_call, fault);
      FaultyStore store(inner, fail_at_call + 1, Fault::before_effect);
      RunningWriter running = start(world, store);
      world.run(running);
      expect_each_once(world);
      expect_not_fenced(world);
      expect_durable(inner);
      reached = store.call_count() > fail_at_call;
    }
  }
}

TEST_F(WriterFaultTest, AWriterRestartedAfterTheFailureWritesEachRecordOnce) {
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      WriterWorld world;
      append_entries(world);
      FaultyStore store(world.memory, fail_at_call, fault);
      {
        RunningWriter running = start(world, store);
        for (int i = 0; i < 20 && store.call_count() <= fail_at_call; ++i) {
          ASSERT_TRUE(running.writer->run_once({}));
          world.clock.advance(std::chrono::minutes(1));
        }
      }
      RunningWriter running = start(world, store);
      world.run(running);
      expect_each_once(world);
      expect_not_fenced(world);
      reached = store.call_count() > fail_at_call;
    }
  }
}

// While one writer fails and does not know why, another takes the partition over.
TEST_F(WriterFaultTest, AnotherWriterTakesOverInTheMiddleOfAFailure) {
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      WriterWorld world;
      append_entries(world);
      FaultyStore inner(world.memory, fail_at_call, fault);
      FaultyStore store(inner, fail_at_call + 1, Fault::before_effect);
      RunningWriter zombie = start(world, store);
      for (int i = 0; i < 20 && store.call_count() <= fail_at_call; ++i) {
        ASSERT_TRUE(zombie.writer->run_once({}));
        world.clock.advance(std::chrono::minutes(1));
      }
      RunningWriter owner = start(world, world.memory);
      world.run(owner);
      world.run(zombie);
      expect_each_once(world);
      reached = store.call_count() > fail_at_call;
    }
  }
}

TEST_F(WriterFaultTest, ReadsNothingMoreWhileTheStoreFailsAndRecoversByItself) {
  class BrokenStore final : public store::ForwardingStore {
   public:
    using store::ForwardingStore::ForwardingStore;
    bool is_full = false;
    int creates = 0;

    Result<std::unique_ptr<store::ObjectWriter>> create(std::string_view key) override {
      ++creates;
      if (is_full) return fail(Errc::exhausted, "disk full");
      return ForwardingStore::create(key);
    }
  };

  WriterWorld world;
  append_entries(world);
  BrokenStore store(world.memory);
  RunningWriter running = start(world, store);
  store.is_full = true;
  Gauge& lag = world.registry.gauge("millrace_writer_lag_entries", "");
  Gauge& failing = world.registry.gauge("millrace_writer_failing", "");
  Counter& entries = world.registry.counter("millrace_writer_entries_total", "");
  world.run(running);
  EXPECT_EQ(lag.value(), 3);
  EXPECT_EQ(failing.value(), 1);
  EXPECT_LT(entries.value(), 3) << "what is not read stays in the journal";

  const int creates = store.creates;
  ASSERT_TRUE(running.writer->run_once({}));
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_LE(store.creates, creates + 1) << "attempts keep their distance";

  store.is_full = false;
  world.run(running);
  EXPECT_EQ(failing.value(), 0);
  expect_each_once(world);
}

// A vacuum takes files that no commit has named for a day or longer.
TEST_F(WriterFaultTest, WritesFilesAnewThatAFlushHasOwedForLong) {
  class NoCommits final : public store::ForwardingStore {
   public:
    using store::ForwardingStore::ForwardingStore;
    bool is_broken = false;
    Result<void> put_if_absent(std::string_view key, std::string_view bytes) override {
      if (is_broken && key.starts_with("access_logs")) return fail(Errc::exhausted, "quota");
      return ForwardingStore::put_if_absent(key, bytes);
    }
  };
  WriterWorld world;
  append_entries(world);
  NoCommits store(world.memory);
  RunningWriter running = start(world, store);
  store.is_broken = true;
  world.run(running);
  const auto objects = world.memory.list("access_logs/date=");
  ASSERT_FALSE(objects->empty());
  for (const auto& object : *objects) ASSERT_TRUE(world.memory.remove(object.key));
  world.clock.advance(std::chrono::hours(24));
  store.is_broken = false;
  world.run(running);
  expect_each_once(world);
}

}  // namespace
}  // namespace millrace::writer
