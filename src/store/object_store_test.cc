#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "store/local_store.h"
#include "store/testing/memory_store.h"
#include "store/testing/object_store_suite.h"

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

using Places = testing::Types<InMemory, InDirectory>;
INSTANTIATE_TYPED_TEST_SUITE_P(Here, AnyObjectStore, Places);

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
