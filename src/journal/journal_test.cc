// What every journal does: the real ones and the one that other folders' tests use.
#include "journal/journal.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/testing/temp_directory.h"
#include "journal/embedded_journal.h"
#include "journal/testing/journal_world.h"
#include "journal/testing/scripted_journal.h"

namespace millrace::journal {
namespace {

using namespace std::chrono_literals;

class InDirectory {
 public:
  InDirectory() {
    auto journal = EmbeddedJournal::open(
        {.directory = directory_.path(), .entry_size_bytes_max = 1 << 20}, metrics_);
    MR_ASSERT(journal.has_value());
    journal_ = *std::move(journal);
  }

  Appender& appender() { return journal_->appender(); }
  std::unique_ptr<Consumer> consumer(Consumer::Listener& listener) {
    return *journal_->open_consumer(listener);
  }

 private:
  TempDirectory directory_;
  MetricsRegistry metrics_;
  std::unique_ptr<EmbeddedJournal> journal_;
};

class Scripted {
 public:
  Appender& appender() { return journal_; }
  std::unique_ptr<Consumer> consumer(Consumer::Listener& listener) {
    auto consumer = std::make_unique<ScriptedConsumer>(journal_, listener);
    consumer->assign({Partition(0)});
    return consumer;
  }

 private:
  ScriptedJournal journal_;
};

// Starts where it is told, or fails with what it is told.
class Listener final : public Consumer::Listener {
 public:
  Result<std::vector<std::optional<Offset>>> on_assigned(
      const std::vector<Partition>& given) override {
    if (error) return tl::unexpected(*error);
    partitions = given;
    return std::vector<std::optional<Offset>>(given.size(), start);
  }
  void on_revoked(const std::vector<Partition>&) override {}
  void on_lost(const std::vector<Partition>&) override {}

  std::optional<Offset> start;
  std::optional<Error> error;
  std::vector<Partition> partitions;
};

template <typename Place>
class AnyJournal : public testing::Test {
 protected:
  Offset append(std::string value) {
    const auto offset = append_and_wait(place_.appender(), std::move(value));
    EXPECT_TRUE(offset) << offset.error().message;
    return offset.value_or(Offset(-1));
  }

  // A consumer that starts at `start`, with its partition.
  Consumer& consumer(std::optional<Offset> start = std::nullopt) {
    consumer_.reset();
    listener_.start = start;
    listener_.partitions.clear();
    consumer_ = place_.consumer(listener_);
    return *consumer_;
  }

  // The next `count` entries; and no more come.
  std::vector<ConsumedEntry> read(Consumer& consumer, std::size_t count) {
    std::vector<ConsumedEntry> all;
    const auto give_up_at = std::chrono::steady_clock::now() + 60s;
    bool is_over = false;
    while (!is_over && std::chrono::steady_clock::now() < give_up_at) {
      auto entries = consumer.poll(20ms);
      EXPECT_TRUE(entries) << entries.error().message;
      if (!entries) return all;
      is_over = all.size() >= count && !listener_.partitions.empty();
      for (auto& entry : *entries) all.push_back(std::move(entry));
    }
    return all;
  }

  std::vector<std::string> read_values(Consumer& consumer, std::size_t count) {
    std::vector<std::string> values;
    for (const ConsumedEntry& entry : read(consumer, count)) values.push_back(entry.entry.value);
    return values;
  }

  // The error that polling comes to.
  Error failure_of(Consumer& consumer) {
    const auto give_up_at = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < give_up_at) {
      auto entries = consumer.poll(20ms);
      if (!entries) return entries.error();
    }
    return {Errc::not_found, "there was none"};
  }

  Place place_;
  Listener listener_;
  std::unique_ptr<Consumer> consumer_;
};

using Values = std::vector<std::string>;
using Places = testing::Types<InDirectory, Scripted>;
TYPED_TEST_SUITE(AnyJournal, Places);

TYPED_TEST(AnyJournal, GivesBackWhatWasAppendedWithItsOffset) {
  std::vector<Offset> offsets;
  for (const char* value : {"a", "b", "c"}) offsets.push_back(this->append(value));
  EXPECT_LT(offsets[0], offsets[1]);
  EXPECT_LT(offsets[1], offsets[2]);
  const auto entries = this->read(this->consumer(), 3);
  ASSERT_EQ(entries.size(), 3U);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].offset, offsets[i]);
    EXPECT_EQ(entries[i].partition, this->listener_.partitions.at(0));
    EXPECT_FALSE(entries[i].corrupt_reason);
  }
}

TYPED_TEST(AnyJournal, KeepsEveryByte) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  this->append(bytes);
  this->append("");
  const auto entries = this->read(this->consumer(), 2);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].entry.value, bytes);
  EXPECT_EQ(entries[0].entry.key, "k");
  EXPECT_EQ(entries[0].entry.headers, (Headers{{"h", "v"}}));
  EXPECT_EQ(entries[1].entry.value, "");
}

TYPED_TEST(AnyJournal, StartsAtThePositionOfTheTable) {
  this->append("a");
  const Offset second = this->append("b");
  EXPECT_EQ(this->read_values(this->consumer(second), 1), Values{"b"});
  EXPECT_EQ(this->read_values(this->consumer(second.next()), 0), Values{});
}

TYPED_TEST(AnyJournal, GoesOnWithWhatIsAppendedLater) {
  Consumer& consumer = this->consumer();
  EXPECT_EQ(this->read_values(consumer, 0), Values{});
  this->append("a");
  EXPECT_EQ(this->read_values(consumer, 1), Values{"a"});
  this->append("b");
  EXPECT_EQ(this->read_values(consumer, 1), Values{"b"});
}

TYPED_TEST(AnyJournal, ReadsAgainFromWhereItSeeks) {
  const Offset first = this->append("a");
  this->append("b");
  Consumer& consumer = this->consumer();
  EXPECT_EQ(this->read_values(consumer, 2), (Values{"a", "b"}));
  const Partition partition = this->listener_.partitions.at(0);
  ASSERT_TRUE(consumer.seek(partition, first.next()));
  EXPECT_EQ(this->read_values(consumer, 1), Values{"b"});
  EXPECT_EQ(consumer.seek(partition, first.next().next().next()).error().code, Errc::corrupt);
}

TYPED_TEST(AnyJournal, StopsAtAPositionBeyondItsEnd) {
  const Offset first = this->append("a");
  EXPECT_EQ(this->failure_of(this->consumer(first.next().next())).code, Errc::corrupt);
}

TYPED_TEST(AnyJournal, TellsTheListenersError) {
  this->append("a");
  this->listener_.error = Error{Errc::unavailable, "the table is away"};
  Consumer& consumer = this->consumer();
  EXPECT_EQ(this->failure_of(consumer).message, "the table is away");
  this->listener_.error.reset();
  EXPECT_EQ(this->read_values(consumer, 1), Values{"a"}) << "the next poll asks again";
}

TYPED_TEST(AnyJournal, WhatIsCommittedIsAHintAndNoPosition) {
  const Offset first = this->append("a");
  this->append("b");
  Consumer& consumer = this->consumer();
  EXPECT_EQ(this->read_values(consumer, 2), (Values{"a", "b"}));
  ASSERT_TRUE(consumer.committed(this->listener_.partitions.at(0), first.next()));
  EXPECT_EQ(this->read_values(this->consumer(first.next()), 1), Values{"b"});
}

TYPED_TEST(AnyJournal, KnowsItsEndAndItsName) {
  const Offset last = this->append("a");
  Consumer& consumer = this->consumer();
  this->read(consumer, 1);
  const Partition partition = this->listener_.partitions.at(0);
  EXPECT_EQ(consumer.end_position(partition), last.next());
  const std::string id = consumer.progress_id(partition);
  EXPECT_FALSE(id.empty());
  Consumer& second = this->consumer();
  this->read(second, 1);
  EXPECT_EQ(second.progress_id(partition), id);
}

TYPED_TEST(AnyJournal, RefusesAnEntryThatIsTooLarge) {
  const std::string large(this->place_.appender().entry_size_bytes_max() + 1, 'x');
  EXPECT_EQ(append_and_wait(this->place_.appender(), large).error().code, Errc::invalid_argument);
  EXPECT_FALSE(this->place_.appender().failure());
}

}  // namespace
}  // namespace millrace::journal
