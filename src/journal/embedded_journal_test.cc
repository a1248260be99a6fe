#include "journal/embedded_journal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <latch>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/posix_file.h"
#include "journal/segment_format.h"
#include "journal/testing/journal_world.h"

namespace millrace::journal {
namespace {

using Values = std::vector<std::string>;

class EmbeddedJournalTest : public testing::Test {
 protected:
  std::unique_ptr<EmbeddedJournal> opened(EmbeddedJournalOptions options = {}) {
    options.directory = directory();
    auto journal = EmbeddedJournal::open(options, metrics_);
    EXPECT_TRUE(journal) << journal.error().message;
    return journal ? *std::move(journal) : nullptr;
  }

  std::string directory() const { return temporary_.path_of("journal"); }

  Values segments() const {
    Values names;
    for (const auto& file : std::filesystem::directory_iterator(directory())) {
      if (file.path().extension() == ".log") names.push_back(file.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string segment_path(std::size_t index) const {
    return directory() + '/' + segments().at(index);
  }

  void overwrite(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  TempDirectory temporary_;
  MetricsRegistry metrics_;
};

TEST_F(EmbeddedJournalTest, GivesBackWhatWasAppendedInOrder) {
  const auto journal = opened();
  EXPECT_EQ(append_and_wait(journal->appender(), "a"), Offset(0));
  EXPECT_EQ(append_and_wait(journal->appender(), "b"), Offset(1));
  EXPECT_EQ(*read_values(*journal), (Values{"a", "b"}));
  EXPECT_EQ(*read_values(*journal, Offset(1)), Values{"b"});
  EXPECT_EQ(*read_values(*journal, Offset(2)), Values{});
}

TEST_F(EmbeddedJournalTest, KeepsEntriesAndIdentityOverRestarts) {
  std::string id;
  {
    const auto journal = opened();
    append_and_wait(journal->appender(), "a").value();
    PlainListener listener;
    id = (*journal->open_consumer(listener))->progress_id(Partition(0));
  }
  const auto journal = opened();
  EXPECT_EQ(append_and_wait(journal->appender(), "b"), Offset(1));
  EXPECT_EQ(*read_values(*journal), (Values{"a", "b"}));
  PlainListener listener;
  EXPECT_EQ((*journal->open_consumer(listener))->progress_id(Partition(0)), id);
}

TEST_F(EmbeddedJournalTest, IsOpenOnceOnly) {
  const auto journal = opened();
  const auto second = EmbeddedJournal::open({.directory = directory()}, metrics_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::already_exists);
  EXPECT_NE(second.error().message.find("another millrace"), std::string::npos);
}

TEST_F(EmbeddedJournalTest, RefusesWhatBreaksALimit) {
  const auto journal = opened({.entry_size_bytes_max = 200, .journal_size_bytes_max = 300});
  const std::size_t overhead = encoded_size_bytes(entry_of(""));
  EXPECT_TRUE(append_and_wait(journal->appender(), std::string(200 - overhead, 'x')));
  const auto large = append_and_wait(journal->appender(), std::string(201 - overhead, 'x'));
  EXPECT_EQ(large.error().code, Errc::invalid_argument);
  const auto full = append_and_wait(journal->appender(), "xx");
  EXPECT_EQ(full.error().code, Errc::exhausted) << "56 + 200 + 51 bytes are more than 300";
}

TEST_F(EmbeddedJournalTest, RefusesAppendsAfterClose) {
  const auto journal = opened();
  journal->close();
  EXPECT_EQ(append_and_wait(journal->appender(), "x").error().code, Errc::unavailable);
}

TEST_F(EmbeddedJournalTest, ForgetsSegmentsThatAreCovered) {
  const auto journal = opened({.segment_size_bytes_max = 1});
  for (const char* value : {"a", "b", "c"}) append_and_wait(journal->appender(), value).value();
  PlainListener listener;
  auto consumer = *journal->open_consumer(listener);
  ASSERT_EQ(segments().size(), 4U) << "one for each, and one that waits";
  ASSERT_TRUE(consumer->committed(Partition(0), Offset(1)));
  EXPECT_EQ(segments().size(), 3U);
  EXPECT_EQ(*read_values(*journal), (Values{"b", "c"}));
  ASSERT_TRUE(consumer->committed(Partition(0), Offset(3)));
  EXPECT_EQ(segments().size(), 1U) << "the newest stays, so that offsets are not used again";
}

TEST_F(EmbeddedJournalTest, HasRoomAgainOnceTheTablesHaveAll) {
  const auto journal = opened({.segment_size_bytes_max = 200, .journal_size_bytes_max = 600});
  Offset end;
  while (const auto offset = append_and_wait(journal->appender(), std::string(100, 'x'))) {
    EXPECT_FALSE(journal->appender().failure());
    end = offset->next();
  }
  EXPECT_NE(journal->appender().failure()->find("journal.size_max"), std::string::npos);
  PlainListener listener;
  ASSERT_TRUE((*journal->open_consumer(listener))->committed(Partition(0), end));
  EXPECT_FALSE(journal->appender().failure());
  EXPECT_EQ(append_and_wait(journal->appender(), std::string(100, 'x')), end);
}

// One group may fill the journal with a single segment.
TEST_F(EmbeddedJournalTest, HasRoomAgainOnceTheTablesHaveAnOverlongSegment) {
  const auto journal = opened({.segment_size_bytes_max = 200, .journal_size_bytes_max = 600});
  const auto offset = append_and_wait(journal->appender(), std::string(450, 'x'));
  ASSERT_TRUE(offset);
  ASSERT_FALSE(append_and_wait(journal->appender(), std::string(100, 'x')));
  PlainListener listener;
  ASSERT_TRUE((*journal->open_consumer(listener))->committed(Partition(0), offset->next()));
  EXPECT_TRUE(append_and_wait(journal->appender(), std::string(100, 'x')));
}

// Large values are written by themselves, between groups of small ones.
TEST_F(EmbeddedJournalTest, KeepsLargeAndSmallEntriesOfOneGroupInOrder) {
  Values values;
  for (const std::size_t size :
       {1UL, 20'000UL, 16'383UL, 16'384UL, 0UL, 300'000UL, 2UL, 100'000UL}) {
    values.emplace_back(size, static_cast<char>('a' + values.size()));
  }
  {
    const auto journal = opened();
    std::latch durable(static_cast<std::ptrdiff_t>(values.size()));
    for (const std::string& value : values) {
      ASSERT_TRUE(journal->appender().append(entry_of(value), [&](const Result<Offset>& offset) {
        EXPECT_TRUE(offset);
        durable.count_down();
      }));
    }
    durable.wait();
    EXPECT_EQ(*read_values(*journal), values);
  }
  EXPECT_EQ(*read_values(*opened()), values);
}

TEST_F(EmbeddedJournalTest, StopsAtPositionsThatItCannotServe) {
  const auto journal = opened({.segment_size_bytes_max = 1});
  for (const char* value : {"a", "b", "c"}) append_and_wait(journal->appender(), value).value();
  PlainListener listener;
  ASSERT_TRUE((*journal->open_consumer(listener))->committed(Partition(0), Offset(2)));
  const auto before = read_values(*journal, Offset(1));
  EXPECT_EQ(before.error().code, Errc::corrupt);
  EXPECT_NE(before.error().message.find("position 1"), std::string::npos) << before.error().message;
  EXPECT_NE(before.error().message.find("oldest entry is 2"), std::string::npos);
  const auto beyond = read_values(*journal, Offset(4));
  EXPECT_EQ(beyond.error().code, Errc::corrupt);
  EXPECT_NE(beyond.error().message.find("ends at 3"), std::string::npos) << beyond.error().message;
}

// A crash can tear the newest segment at any byte: what lies whole before it is there, what is torn
// is gone, and appending goes on.
TEST_F(EmbeddedJournalTest, CutsATornTailAtEveryByte) {
  {
    const auto journal = opened();
    for (const char* value : {"a", "b", "c"}) append_and_wait(journal->appender(), value).value();
  }
  const std::string whole = *read_file(segment_path(0));
  const std::size_t entry_bytes = encoded_size_bytes(entry_of("a"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(testing::Message() << "cut to " << size << " bytes");
    overwrite(directory() + "/00000000000000000000.log", whole.substr(0, size));
    const auto journal = opened();
    ASSERT_TRUE(journal);
    const std::size_t left =
        size < segment_header_bytes ? 0 : (size - segment_header_bytes) / entry_bytes;
    Values want(Values{"a", "b", "c"});
    want.resize(left);
    EXPECT_EQ(*read_values(*journal), want);
    EXPECT_EQ(append_and_wait(journal->appender(), "d"), Offset(static_cast<std::int64_t>(left)));
    want.emplace_back("d");
    EXPECT_EQ(*read_values(*journal), want);
  }
}

// A flipped bit costs the entry it hits, and says so; the others are served.
TEST_F(EmbeddedJournalTest, ServesWhatLiesAroundAFlippedBit) {
  for (const bool is_sealed : {true, false}) {
    std::filesystem::remove_all(directory());
    {
      const auto journal = opened();
      for (const char* value : {"a", "b", "c"}) append_and_wait(journal->appender(), value).value();
    }
    if (is_sealed) {
      const auto journal = opened({.segment_size_bytes_max = 1});
      append_and_wait(journal->appender(), "d").value();
    }
    const std::string path = segment_path(0);
    const std::string whole = *read_file(path);
    const std::size_t entry_bytes = encoded_size_bytes(entry_of("a"));
    for (std::size_t at = segment_header_bytes; at < segment_header_bytes + 2 * entry_bytes; ++at) {
      SCOPED_TRACE(testing::Message() << "byte " << at << ", sealed " << is_sealed);
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      overwrite(path, damaged);
      const auto journal = opened();
      Values want =
          at < segment_header_bytes + entry_bytes ? Values{"!", "b", "c"} : Values{"a", "!", "c"};
      if (is_sealed) want.emplace_back("d");
      EXPECT_EQ(*read_values(*journal), want);
    }
  }
}

// It may have been acknowledged, and the table may cover it.
TEST_F(EmbeddedJournalTest, KeepsTheOffsetOfADamagedLastEntry) {
  {
    const auto journal = opened();
    for (const char* value : {"a", "b"}) append_and_wait(journal->appender(), value).value();
  }
  const std::string path = segment_path(0);
  std::string damaged = *read_file(path);
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  overwrite(path, damaged);
  const auto journal = opened();
  EXPECT_EQ(*read_values(*journal, Offset(2)), Values{}) << "a table that covers it can go on";
  EXPECT_EQ(append_and_wait(journal->appender(), "c"), Offset(2));
  EXPECT_EQ(*read_values(*journal), (Values{"a", "!", "c"}));
}

TEST_F(EmbeddedJournalTest, KeepsItsIdentityWhicheverByteOfItsOnlySegmentsHeaderIsDamaged) {
  const auto id = [](EmbeddedJournal& journal) {
    PlainListener listener;
    return (*journal.open_consumer(listener))->progress_id(Partition(0));
  };
  std::string want;
  {
    const auto journal = opened();
    append_and_wait(journal->appender(), "a").value();
    want = id(*journal);
  }
  const std::string whole = *read_file(segment_path(0));
  for (std::size_t at = 0; at < segment_header_bytes; ++at) {
    SCOPED_TRACE(testing::Message() << "byte " << at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    overwrite(segment_path(0), damaged);
    const auto journal = opened();
    EXPECT_EQ(id(*journal), want);
    EXPECT_EQ(*read_values(*journal), Values{"a"});
  }
  // A journal of an earlier version has no such file.
  overwrite(segment_path(0), whole);
  std::filesystem::remove(directory() + "/id");
  EXPECT_EQ(id(*opened()), want);
  EXPECT_EQ(id(*opened()), want);
}

TEST_F(EmbeddedJournalTest, DoesNotInventAnIdentityForSegmentsThatAreThere) {
  {
    const auto journal = opened();
    append_and_wait(journal->appender(), "a").value();
  }
  std::string damaged = *read_file(segment_path(0));
  damaged[0] = 'X';
  overwrite(segment_path(0), damaged);
  std::filesystem::remove(directory() + "/id");
  const auto journal = EmbeddedJournal::open({.directory = directory()}, metrics_);
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, Errc::corrupt);
}

TEST_F(EmbeddedJournalTest, StartsASegmentThatAnEarlierLifeCouldNot) {
  append_and_wait(opened()->appender(), std::string(500, 'x')).value();
  const auto journal = opened({.segment_size_bytes_max = 200, .journal_size_bytes_max = 600});
  PlainListener listener;
  ASSERT_TRUE((*journal->open_consumer(listener))->committed(Partition(0), Offset(1)));
  EXPECT_TRUE(append_and_wait(journal->appender(), std::string(100, 'x')));
}

TEST_F(EmbeddedJournalTest, ReadsEntriesLargerThanItsBuffer) {
  const auto journal = opened({.segment_size_bytes_max = 4 << 20, .poll_size_bytes_max = 1});
  Values want;
  for (const std::size_t size : {3U << 20, 10U, 2U << 20, 5U << 20, 1U}) {
    want.emplace_back(size, static_cast<char>('a' + want.size()));
    append_and_wait(journal->appender(), want.back()).value();
  }
  EXPECT_EQ(*read_values(*journal), want);
}

TEST_F(EmbeddedJournalTest, LosesNothingBetweenManyAppendersAndAConsumer) {
  constexpr int appenders = 4;
  constexpr int entries_each = 200;
  const auto journal = opened({.segment_size_bytes_max = 2000});
  std::vector<std::jthread> threads;
  for (int a = 0; a < appenders; ++a) {
    threads.emplace_back([&journal, a] {
      for (int i = 0; i < entries_each; ++i) {
        append_and_wait(journal->appender(), fmt::format("{}-{}", a, i)).value();
      }
    });
  }
  PlainListener listener;
  auto consumer = *journal->open_consumer(listener);
  Values values;
  while (values.size() < appenders * entries_each) {
    const auto entries = consumer->poll(std::chrono::seconds(10));
    ASSERT_TRUE(entries) << entries.error().message;
    for (const auto& entry : *entries) values.push_back(entry.entry.value);
    ASSERT_TRUE(
        consumer->committed(Partition(0), Offset(static_cast<std::int64_t>(values.size()))));
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(std::unique(values.begin(), values.end()), values.end());
}

// Random appends, restarts, torn tails, reads and commits, against a plain vector.
TEST_F(EmbeddedJournalTest, AgreesWithAModel) {
  for (unsigned seed = 0; seed < 15; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    std::filesystem::remove_all(directory());
    const EmbeddedJournalOptions options{.segment_size_bytes_max = 400, .poll_size_bytes_max = 100};
    auto journal = opened(options);
    Values model;
    std::size_t committed = 0;
    for (int step = 0; step < 60; ++step) {
      switch (random() % 4) {
        case 0: {
          journal.reset();
          if (random() % 2 == 0) {
            std::ofstream(segment_path(segments().size() - 1), std::ios::binary | std::ios::app)
                << std::string(1 + random() % 100, 'M');
          }
          journal = opened(options);
          break;
        }
        case 1: {
          if (model.empty()) break;
          committed = std::max<std::size_t>(committed, random() % (model.size() + 1));
          PlainListener listener;
          ASSERT_TRUE((*journal->open_consumer(listener))
                          ->committed(Partition(0), Offset(static_cast<std::int64_t>(committed))));
          break;
        }
        default: {
          model.push_back(std::string(random() % 120, 'v') + std::to_string(step));
          ASSERT_EQ(append_and_wait(journal->appender(), model.back()),
                    Offset(static_cast<std::int64_t>(model.size()) - 1));
        }
      }
      const auto values = read_values(*journal, Offset(static_cast<std::int64_t>(committed)));
      ASSERT_TRUE(values) << values.error().message;
      ASSERT_EQ(*values,
                Values(model.begin() + static_cast<std::ptrdiff_t>(committed), model.end()));
    }
  }
}

}  // namespace
}  // namespace millrace::journal
