#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <set>

#include "journal/embedded_journal.h"
#include "journal/testing/faulty_files.h"
#include "journal/testing/journal_world.h"

namespace millrace::journal {
namespace {

// Every third is so large that it is written by itself.
std::string value_of(int number) {
  std::string value = fmt::format("value {}", number);
  if (number % 3 == 1) value.resize(20'000, 'x');
  return value;
}

using Values = std::vector<std::string>;

class JournalFaults : public testing::Test {
 protected:
  // The journal of `files`, which the test goes on to break.
  std::unique_ptr<EmbeddedJournal> opened(FaultyFiles*& files) {
    auto owned = std::make_unique<FaultyFiles>(directory());
    files = owned.get();
    auto journal = EmbeddedJournal::open(options_, metrics_, std::move(owned));
    EXPECT_TRUE(journal) << journal.error().message;
    return journal ? *std::move(journal) : nullptr;
  }

  std::string directory() const { return temporary_.path_of("journal"); }

  void start_over() {
    std::filesystem::remove_all(directory());
    std::filesystem::create_directories(directory());
  }

  TempDirectory temporary_;
  MetricsRegistry metrics_;
  const EmbeddedJournalOptions options_{.directory = directory(),
                                        .segment_size_bytes_max = 300,
                                        .probe_interval = std::chrono::milliseconds(1)};
};

// Whichever call fails: what was acknowledged is read, in order, now and after a restart; what was
// refused as exhausted is not; and the journal goes on by itself.
TEST_F(JournalFaults, KeepsEveryAcknowledgedEntryWhicheverCallFails) {
  for (const Errc code : {Errc::unavailable, Errc::exhausted}) {
    int fail_at = 0;
    for (bool reached = true; reached; ++fail_at) {
      SCOPED_TRACE(testing::Message() << "call " << fail_at << ", " << to_string(code));
      start_over();
      Values acknowledged;
      std::set<std::string> unknown;
      {
        FaultyFiles* files = nullptr;
        const auto journal = opened(files);
        files->plan({.fail_at = fail_at, .code = code});
        for (int i = 0; i < 12; ++i) {
          const std::string value = value_of(i);
          const auto offset = append_and_wait(journal->appender(), value);
          if (offset) acknowledged.push_back(value);
          if (!offset && offset.error().code == Errc::unavailable) unknown.insert(value);
        }
        EXPECT_GE(acknowledged.size(), 11U) << "one failing call fails one append";
        EXPECT_EQ(*read_values(*journal), acknowledged);
        reached = files->call_count() > fail_at;
      }
      FaultyFiles* files = nullptr;
      const auto journal = opened(files);
      auto values = *read_values(*journal);
      std::erase_if(values, [&](const std::string& value) { return unknown.contains(value); });
      EXPECT_EQ(values, acknowledged);
      EXPECT_TRUE(append_and_wait(journal->appender(), "after"));
    }
    EXPECT_GT(fail_at, 20) << "the loop must reach past appends, syncs and rotations";
  }
}

TEST_F(JournalFaults, SaysThatItFailsAndFindsOutByItselfWhenThatIsOver) {
  start_over();
  FaultyFiles* files = nullptr;
  const auto journal = opened(files);
  EXPECT_EQ(journal->appender().failure(), std::nullopt);
  files->plan({.fail_at = 0, .code = Errc::exhausted, .repeat = true});
  EXPECT_EQ(append_and_wait(journal->appender(), "x").error().code, Errc::unavailable)
      << "the bytes could not be cut off again, so nobody knows";
  EXPECT_NE(journal->appender().failure(), std::nullopt);
  files->heal();
  while (journal->appender().failure()) std::this_thread::yield();
  EXPECT_TRUE(append_and_wait(journal->appender(), "y"));
  EXPECT_EQ(*read_values(*journal), Values{"y"});
}

// Power is lost at random moments among appends of which some fail.
TEST_F(JournalFaults, KeepsEveryAcknowledgedEntryWhenPowerIsLost) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    start_over();
    Values acknowledged;
    std::set<std::string> refused;
    int number = 0;
    for (int life = 0; life < 4; ++life) {
      {
        FaultyFiles* files = nullptr;
        const auto journal = opened(files);
        ASSERT_TRUE(journal);
        if (random() % 2 == 0) files->plan({.fail_at = static_cast<int>(random() % 15)});
        for (std::size_t i = random() % 10; i > 0; --i) {
          const std::string value = value_of(number++);
          if (append_and_wait(journal->appender(), value))
            acknowledged.push_back(value);
          else
            refused.insert(value);
        }
        journal->close();
        files->lose_power(random);
      }
      FaultyFiles* files = nullptr;
      const auto journal = opened(files);
      ASSERT_TRUE(journal);
      auto values = *read_values(*journal);
      // Of what nobody was told that it is there, damage may be left.
      std::erase_if(values, [&](const std::string& value) {
        return refused.contains(value) || value == "!";
      });
      ASSERT_EQ(values, acknowledged);
    }
  }
}

}  // namespace
}  // namespace millrace::journal
