#include "store/object_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "store/local_store.h"
#include "store/testing/memory_store.h"

namespace millrace::store {
namespace {

class InMemory {
 public:
  ObjectStore& store() { return store_; }

 private:
  MemoryStore store_;
};

class InDirectory {
 public:
  InDirectory() {
    char name[] = "/tmp/millrace-store-XXXXXX";
    directory_ = mkdtemp(name);
    store_ = *LocalStore::open(directory_ + "/lake");
  }
  ~InDirectory() { std::filesystem::remove_all(directory_); }
  ObjectStore& store() { return *store_; }
  std::string root() const { return directory_ + "/lake"; }

 private:
  std::string directory_;
  std::unique_ptr<LocalStore> store_;
};

template <typename Place>
class AnyObjectStore : public testing::Test {
 protected:
  ObjectStore& store() { return place_.store(); }

  std::vector<std::string> keys(std::string_view prefix, std::string_view start_after = {}) {
    std::vector<std::string> result;
    const auto objects = store().list(prefix, start_after);
    for (const auto& object : *objects) result.push_back(object.key);
    return result;
  }

 private:
  Place place_;
};

using Places = testing::Types<InMemory, InDirectory>;
TYPED_TEST_SUITE(AnyObjectStore, Places);

using Keys = std::vector<std::string>;

TYPED_TEST(AnyObjectStore, GivesBackWhatWasPut) {
  ASSERT_TRUE(this->store().put("a/b", "one"));
  EXPECT_EQ(this->store().get("a/b"), "one");
  ASSERT_TRUE(this->store().put("a/b", "two"));
  EXPECT_EQ(this->store().get("a/b"), "two");
  EXPECT_EQ(this->store().head("a/b")->size_bytes, 3U);
  EXPECT_EQ(this->store().get("a/c").error().code, Errc::not_found);
  EXPECT_EQ(this->store().head("a").error().code, Errc::not_found);
}

TYPED_TEST(AnyObjectStore, ReadsRangesUpToTheEnd) {
  ASSERT_TRUE(this->store().put("k", "0123456789"));
  EXPECT_EQ(this->store().get_range("k", 2, 3), "234");
  EXPECT_EQ(this->store().get_range("k", 8, 100), "89");
  EXPECT_EQ(this->store().get_range("k", 100, 1), "");
}

TYPED_TEST(AnyObjectStore, PutIfAbsentKeepsTheFirst) {
  ASSERT_TRUE(this->store().put_if_absent("k", "first"));
  EXPECT_EQ(this->store().put_if_absent("k", "second").error().code, Errc::already_exists);
  EXPECT_EQ(this->store().get("k"), "first");
}

TYPED_TEST(AnyObjectStore, OneOfManyRacingPutsWins) {
  for (int round = 0; round < 20; ++round) {
    const std::string key = "race/" + std::to_string(round);
    std::atomic<int> wins{0};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
          if (this->store().put_if_absent(key, std::to_string(i))) ++wins;
        });
      }
    }
    EXPECT_EQ(wins, 1);
  }
}

TYPED_TEST(AnyObjectStore, ListsFinishedObjectsInOrder) {
  for (const char* key : {"t/b", "t/a/x", "t/a-1", "u", "t/c"})
    ASSERT_TRUE(this->store().put(key, ""));
  auto unfinished = this->store().create("t/z");
  ASSERT_TRUE(unfinished);
  ASSERT_TRUE((*unfinished)->write("half"));
  EXPECT_EQ(this->keys("t/"), (Keys{"t/a-1", "t/a/x", "t/b", "t/c"}));
  EXPECT_EQ(this->keys("t/a"), (Keys{"t/a-1", "t/a/x"}));
  EXPECT_EQ(this->keys("t/", "t/a/x"), (Keys{"t/b", "t/c"}));
  EXPECT_EQ(this->keys("nothing/here"), Keys{});
  ASSERT_TRUE((*unfinished)->finish());
  EXPECT_EQ(this->store().get("t/z"), "half");
}

TYPED_TEST(AnyObjectStore, AnUnfinishedWriterLeavesNothing) {
  {
    auto writer = this->store().create("w");
    ASSERT_TRUE((*writer)->write("lost"));
  }
  EXPECT_EQ(this->keys(""), Keys{});
}

TYPED_TEST(AnyObjectStore, RemovingTwiceIsTheSame) {
  ASSERT_TRUE(this->store().put("k", ""));
  EXPECT_TRUE(this->store().remove("k"));
  EXPECT_TRUE(this->store().remove("k"));
  EXPECT_EQ(this->store().get("k").error().code, Errc::not_found);
}

TEST(LocalStore, RefusesKeysThatLeaveItsDirectory) {
  InDirectory place;
  for (const char* key : {"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".tmp/x", "a/."}) {
    SCOPED_TRACE(key);
    EXPECT_EQ(place.store().put(key, "").error().code, Errc::invalid_argument);
    EXPECT_EQ(place.store().get(key).error().code, Errc::invalid_argument);
  }
}

TEST(LocalStore, LeavesNoTemporaryFiles) {
  InDirectory place;
  ASSERT_TRUE(place.store().put_if_absent("k", "1"));
  ASSERT_FALSE(place.store().put_if_absent("k", "2"));
  ASSERT_TRUE(place.store().put("k", "3"));
  ASSERT_TRUE((*place.store().create("never"))->write("x"));
  EXPECT_TRUE(std::filesystem::is_empty(place.root() + "/.tmp"));
}

TEST(LocalStore, OpensForReadingWithoutWriting) {
  InDirectory place;
  EXPECT_EQ(LocalStore::open_read_only(place.root() + "/none").error().code, Errc::not_found);
  EXPECT_TRUE(LocalStore::open_read_only(place.root()));
}

// The file that is to be an object takes the last descriptor, and its directory cannot be synced:
// the object is there, and "nothing was written" would have its data thrown away.
TEST(LocalStoreTest, DoesNotSayThatNothingWasWrittenOnceItWas) {
  InDirectory place;
  ASSERT_TRUE(place.store().put("t/first", "1"));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::open("/", O_RDONLY | O_CLOEXEC);
  ::close(next);
  rlimit limit = before;
  limit.rlim_cur = static_cast<rlim_t>(next) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto created = place.store().put_if_absent("t/second", "2");
  const auto replaced = place.store().put("t/first", "3");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, Errc::unavailable);
  EXPECT_EQ(*place.store().get("t/second"), "2");
  ASSERT_FALSE(replaced);
  EXPECT_EQ(replaced.error().code, Errc::unavailable);
}

}  // namespace
}  // namespace millrace::store
