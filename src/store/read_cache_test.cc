#include "store/read_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "store/testing/forwarding_store.h"
#include "store/testing/memory_store.h"

namespace millrace::store {
namespace {

class CountingStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<std::string> get_range(std::string_view key, std::uint64_t offset,
                                std::uint64_t size) override {
    ++reads;
    return ForwardingStore::get_range(key, offset, size);
  }
  std::atomic<int> reads{0};
};

class ReadCacheTest : public testing::Test {
 protected:
  ReadCacheTest() {
    char name[] = "/tmp/millrace-cache-XXXXXX";
    directory_ = mkdtemp(name);
    for (const char* key : {"t/a", "t/b", "t/c"}) EXPECT_TRUE(memory_.put(key, content(key)));
  }
  ~ReadCacheTest() override { std::filesystem::remove_all(directory_); }

  static std::string content(const std::string& key) { return key + std::string(97, '.'); }

  std::unique_ptr<ReadCache> open(std::uint64_t size_bytes_max = 1'000) {
    return *ReadCache::open(directory_ + "/cache", size_bytes_max);
  }

  Result<std::unique_ptr<LocalFiles>> pin(ReadCache& cache, const std::vector<std::string>& keys) {
    std::vector<ObjectSize> objects;
    for (const auto& key : keys) objects.push_back({key, content(key).size()});
    return cache.pin(store_, "s3://here", objects, {});
  }

  static std::string read(const LocalFiles& files, const std::string& key) {
    std::stringstream text;
    text << std::ifstream(files.root() + "/" + key).rdbuf();
    return text.str();
  }

  std::string own(const std::string& name) const {
    return fmt::format("{}/cache/{}/{}", directory_, geteuid(), name);
  }

  // The one copy there is.
  std::filesystem::path copy() const {
    return std::filesystem::directory_iterator(own("copies"))->path();
  }

  std::string directory_;
  MemoryStore memory_;
  CountingStore store_{memory_};
};

TEST_F(ReadCacheTest, FetchesOnceAndGivesFilesUnderTheObjectsNames) {
  const auto cache = open();
  for (int i = 0; i < 2; ++i) {
    const auto files = pin(*cache, {"t/a", "t/b"});
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_EQ(read(**files, "t/a"), content("t/a"));
    EXPECT_EQ(read(**files, "t/b"), content("t/b"));
  }
  EXPECT_EQ(store_.reads, 2);
  EXPECT_TRUE(std::filesystem::is_empty(own("pins")));
}

TEST_F(ReadCacheTest, FetchesAgainWhatWasCutShortOrWrittenTo) {
  const auto cache = open();
  ASSERT_TRUE(pin(*cache, {"t/a"}));
  std::filesystem::resize_file(copy(), 10);
  EXPECT_EQ(read(**pin(*cache, {"t/a"}), "t/a"), content("t/a"));
  std::fstream(copy(), std::ios::in | std::ios::out).write("X", 1);
  EXPECT_EQ(read(**pin(*cache, {"t/a"}), "t/a"), content("t/a"));
  EXPECT_EQ(store_.reads, 3);
}

TEST_F(ReadCacheTest, MakesRoomByWhatWasUsedLongestAgo) {
  const auto cache = open(250);
  ASSERT_TRUE(pin(*cache, {"t/a"}));
  ASSERT_TRUE(pin(*cache, {"t/b"}));
  ASSERT_TRUE(pin(*cache, {"t/a"}));
  ASSERT_TRUE(pin(*cache, {"t/c"}));  // In the place of b.
  EXPECT_EQ(store_.reads, 3);
  ASSERT_TRUE(pin(*cache, {"t/a"}));
  EXPECT_EQ(store_.reads, 3);
  ASSERT_TRUE(pin(*cache, {"t/b"}));
  EXPECT_EQ(store_.reads, 4);
}

TEST_F(ReadCacheTest, RefusesMoreThanItMayHoldWithBothSizes) {
  const auto cache = open(250);
  const auto files = pin(*cache, {"t/a", "t/b", "t/c"});
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Errc::exhausted);
  EXPECT_NE(files.error().message.find("300"), std::string::npos) << files.error().message;
  EXPECT_NE(files.error().message.find("250"), std::string::npos) << files.error().message;
  EXPECT_EQ(store_.reads, 0);
}

TEST_F(ReadCacheTest, TakesNothingAwayThatIsInUseWhoeverUsesIt) {
  const auto cache = open(250);
  const auto another = open(250);  // As another process has it.
  auto used = pin(*cache, {"t/a", "t/b"});
  ASSERT_TRUE(used);
  const auto refused = pin(*another, {"t/c"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exhausted);
  EXPECT_EQ(read(**used, "t/a"), content("t/a"));
  used->reset();
  EXPECT_TRUE(pin(*another, {"t/c"}));
}

TEST_F(ReadCacheTest, FreesWhatADeadProcessUsed) {
  const auto cache = open(250);
  std::filesystem::create_directories(own("pins/dead/t"));
  std::ofstream(own("pins/dead.lock"));
  std::ofstream(own("pins/dead/t/half")) << std::string(200, 'x');
  EXPECT_TRUE(pin(*cache, {"t/a"}));
  EXPECT_FALSE(std::filesystem::exists(own("pins/dead")));
}

TEST_F(ReadCacheTest, KeepsNothingOfAFetchThatFailed) {
  const auto cache = open();
  const auto missing = pin(*cache, {"t/a", "t/none"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  ASSERT_TRUE(memory_.put("t/b", "short"));
  const auto shorter = pin(*cache, {"t/b"});
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, Errc::corrupt);
  EXPECT_TRUE(std::filesystem::is_empty(own("pins")));
  for (const auto& entry : std::filesystem::directory_iterator(own("copies"))) {
    EXPECT_EQ(entry.file_size(), 100U) << "only whole ones";
  }
}

TEST_F(ReadCacheTest, EndsAFetchThatNobodyWaitsForAnyMore) {
  const auto cache = open();
  ASSERT_TRUE(pin(*cache, {"t/a"}));
  const auto ended =
      cache->pin(store_, "s3://here", {{"t/a", 100}, {"t/b", 100}}, [] { return true; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Errc::unavailable);
  EXPECT_EQ(store_.reads, 1);
  EXPECT_TRUE(std::filesystem::is_empty(own("pins")));
  EXPECT_TRUE(cache->pin(store_, "s3://here", {{"t/a", 100}}, [] { return true; }))
      << "what is here already needs no fetch";
}

TEST_F(ReadCacheTest, DeletesNothingWhereThatWouldNotDo) {
  const auto cache = open(250);
  ASSERT_TRUE(pin(*cache, {"t/c"}));
  const auto used = pin(*cache, {"t/a"});
  ASSERT_TRUE(used);
  ASSERT_TRUE(memory_.put("t/d", std::string(200, 'd')));
  EXPECT_EQ(cache->pin(store_, "s3://here", {{"t/d", 200}}, {}).error().code, Errc::exhausted);
  const int reads = store_.reads;
  EXPECT_TRUE(pin(*cache, {"t/c"}));
  EXPECT_EQ(store_.reads, reads) << "it is still there";
}

TEST_F(ReadCacheTest, IsSharedByManyThreads) {
  const auto cache = open(250);
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) {
          const std::string key = std::string("t/") + "abc"[(i + t) % 3];
          const auto files = pin(*cache, {key});
          // Where the others use all of it, that is said.
          if (!files && files.error().code != Errc::exhausted) ++failures;
          if (files && read(**files, key) != content(key)) ++failures;
        }
      });
    }
  }
  EXPECT_EQ(failures, 0);
  std::uintmax_t size = 0;
  for (const auto& entry : std::filesystem::directory_iterator(own("copies"))) {
    size += entry.file_size();
  }
  EXPECT_LE(size, 250U);
}

TEST_F(ReadCacheTest, TellsStoresApart) {
  const auto cache = open();
  ASSERT_TRUE(pin(*cache, {"t/a"}));
  MemoryStore other;
  ASSERT_TRUE(other.put("t/a", std::string(100, 'o')));
  const auto files = cache->pin(other, "s3://there", {{"t/a", 100}}, {});
  EXPECT_EQ(read(**files, "t/a"), std::string(100, 'o'));
}

}  // namespace
}  // namespace millrace::store
