#include <gtest/gtest.h>

#include "store/testing/faulty_store.h"
#include "writer/testing/writer_world.h"

// A batch that comes again under its key is in the table once.
namespace millrace::writer {
namespace {

using namespace std::chrono_literals;
using store::Fault;
using store::FaultyStore;
using Strings = std::multiset<std::string>;

struct KeyedWorld : WriterWorld {
  void send(const std::string& key, const std::vector<std::string>& paths,
            const std::vector<std::string>& rejected = {},
            journal::Partition partition = first_partition) {
    append(paths, rejected, partition, key);
  }

  double duplicates() { return registry.counter("millrace_writer_duplicates_total", "").value(); }
};

class WriterDedupeTest : public testing::Test, protected KeyedWorld {};

TEST_F(WriterDedupeTest, DropsABatchThatComesAgainInOneFlushOrALaterOne) {
  send("a", {"/a"}, {"bad a"});
  send("a", {"/a"}, {"bad a"});
  RunningWriter running = start();
  run(running);
  send("a", {"/a"}, {"bad a"});
  send("b", {"/b"});
  run(running);
  EXPECT_EQ(paths(), (Strings{"/a", "/b"}));
  EXPECT_EQ(dead_payloads(), Strings{"bad a"});
  EXPECT_EQ(duplicates(), 2);
  EXPECT_EQ(position("access_logs"), 4) << "the position covers what was dropped";
}

TEST_F(WriterDedupeTest, ReadsTheKeysFromTheTablesAfterAStart) {
  send("a", {"/a"});
  send("r", {}, {"bad"});
  {
    RunningWriter running = start();
    run(running, 2);
  }
  send("a", {"/a"});
  send("r", {}, {"bad"});
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(paths(), Strings{"/a"});
  EXPECT_EQ(dead_payloads(), Strings{"bad"});
  EXPECT_EQ(duplicates(), 2);
}

TEST_F(WriterDedupeTest, TakesItAgainBeyondTheWindowAsTheBatchesSay) {
  options.dedupe.window = 1h;
  send("a", {"/first"});
  clock.advance(1h);
  send("a", {"/within"});
  clock.advance(1us);
  send("a", {"/beyond"});
  clock.advance(24h);  // The journal is read a day later.
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(paths(), (Strings{"/first", "/beyond"}));
}

TEST_F(WriterDedupeTest, IsSwitchedOffByAWindowOfZero) {
  options.dedupe.window = 0ms;
  send("a", {"/a"});
  send("a", {"/a"});
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(paths(), (Strings{"/a", "/a"}));
}

// The keys of what was lost with the partition must not keep its entries out.
TEST_F(WriterDedupeTest, ForgetsWhatItDropped) {
  send("a", {"/a"});
  RunningWriter running = start();
  ASSERT_TRUE(running.writer->run_once({}));
  running.consumer->lose({first_partition});
  running.consumer->assign({first_partition});
  run(running);
  EXPECT_EQ(paths(), Strings{"/a"});
  EXPECT_EQ(duplicates(), 0);
}

// An assignment in between must not forget what is buffered and not committed yet.
TEST_F(WriterDedupeTest, KeepsBufferedKeysThroughAnAssignment) {
  options.flush.age_max = 1h;
  send("a", {"/a"});
  RunningWriter running = start();
  ASSERT_TRUE(running.writer->run_once({}));
  running.consumer->assign({second_partition});
  send("a", {"/a"});
  ASSERT_TRUE(running.writer->run_once({}));
  ASSERT_TRUE(running.writer->drain());
  EXPECT_EQ(paths(), Strings{"/a"});
  EXPECT_EQ(duplicates(), 1);
}

TEST_F(WriterDedupeTest, KnowsWhatAnotherWriterHasWrittenOfAPartition) {
  send("a", {"/a"}, {}, second_partition);
  RunningWriter other = start(memory, 100, {second_partition});
  RunningWriter running = start();
  send("b", {"/b"});
  run(running, 2);
  run(other, 2);
  send("a", {"/a"}, {}, second_partition);
  running.consumer->assign({second_partition});
  run(running);
  EXPECT_EQ(paths(), (Strings{"/a", "/b"}));
}

// A dead letter may be in its table before its batch's records are in theirs: its key is then that
// of the batch itself, and not of an earlier one.
TEST_F(WriterDedupeTest, TakesTheRecordsOfABatchWhoseDeadLettersAreAhead) {
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_from_call = 0;
    for (bool reached = true; reached; ++fail_from_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_from_call << ", fault " << int(fault));
      KeyedWorld world;
      world.send("a", {"/a"}, {"bad a"});
      world.send("a", {"/a"}, {"bad a"});
      {
        FaultyStore store(world.memory, fail_from_call, fault);
        RunningWriter running = world.start(store, 1);
        // One call fails, and then the process is gone.
        for (int i = 0; i < 5 && store.call_count() <= fail_from_call; ++i) {
          ASSERT_TRUE(running.writer->run_once({}));
          world.clock.advance(1min);
        }
        reached = store.call_count() > fail_from_call;
      }
      world.send("a", {"/a"}, {"bad a"});
      world.send("b", {"/b"}, {"bad b"});
      RunningWriter running = world.start();
      world.run(running);
      EXPECT_EQ(world.paths(), (Strings{"/a", "/b"}));
      EXPECT_EQ(world.dead_payloads(), (Strings{"bad a", "bad b"}));
    }
    EXPECT_GT(fail_from_call, 15) << "the loop must reach past the commits";
  }
}

// The same with a writer that goes on.
TEST_F(WriterDedupeTest, WritesEachBatchOnceWhicheverStoreCallFails) {
  for (const Fault fault : {Fault::before_effect, Fault::after_effect}) {
    int fail_at_call = 0;
    for (bool reached = true; reached; ++fail_at_call) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at_call << ", fault " << int(fault));
      KeyedWorld world;
      world.options.flush.records_max = 2;
      for (const char* key : {"a", "b", "a", "c", "b", "c"}) {
        world.send(key, {std::string("/") + key}, {std::string("bad ") + key});
      }
      FaultyStore store(world.memory, fail_at_call, fault);
      RunningWriter running = world.start(store, 2);
      world.run(running);
      EXPECT_EQ(world.paths(), (Strings{"/a", "/b", "/c"}));
      EXPECT_EQ(world.dead_payloads(), (Strings{"bad a", "bad b", "bad c"}));
      reached = store.call_count() > fail_at_call;
    }
    EXPECT_GT(fail_at_call, 20) << "the loop must reach past files and commits";
  }
}

}  // namespace
}  // namespace millrace::writer
