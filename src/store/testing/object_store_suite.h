#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "store/object_store.h"

// What every object store does, real or fake: INSTANTIATE_TYPED_TEST_SUITE_P(Name, AnyObjectStore,
// testing::Types<Place>), where a Place is made without arguments and has an empty store().
namespace millrace::store {

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

TYPED_TEST_SUITE_P(AnyObjectStore);

using Keys = std::vector<std::string>;

TYPED_TEST_P(AnyObjectStore, GivesBackWhatWasPut) {
  ASSERT_TRUE(this->store().put("a/b", "one"));
  EXPECT_EQ(this->store().get("a/b"), "one");
  ASSERT_TRUE(this->store().put("a/b", "two"));
  EXPECT_EQ(this->store().get("a/b"), "two");
  EXPECT_EQ(this->store().head("a/b")->size_bytes, 3U);
  EXPECT_EQ(this->store().get("a/c").error().code, Errc::not_found);
  EXPECT_EQ(this->store().head("a").error().code, Errc::not_found);
}

TYPED_TEST_P(AnyObjectStore, ReadsRangesUpToTheEnd) {
  ASSERT_TRUE(this->store().put("k", "0123456789"));
  EXPECT_EQ(this->store().get_range("k", 2, 3), "234");
  EXPECT_EQ(this->store().get_range("k", 8, 100), "89");
  EXPECT_EQ(this->store().get_range("k", 100, 1), "");
}

TYPED_TEST_P(AnyObjectStore, PutIfAbsentKeepsTheFirst) {
  ASSERT_TRUE(this->store().put_if_absent("k", "first"));
  EXPECT_EQ(this->store().put_if_absent("k", "second").error().code, Errc::already_exists);
  EXPECT_EQ(this->store().get("k"), "first");
}

TYPED_TEST_P(AnyObjectStore, OneOfManyRacingPutsWins) {
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

TYPED_TEST_P(AnyObjectStore, ListsFinishedObjectsInOrder) {
  for (const char* key : {"t/b", "t/a/x", "t/a-1", "u", "t/c"})
    ASSERT_TRUE(this->store().put(key, ""));
  auto unfinished = this->store().create("t/z");
  ASSERT_TRUE(unfinished);
  ASSERT_TRUE((*unfinished)->write("half"));
  EXPECT_EQ(this->keys("t/"), (Keys{"t/a-1", "t/a/x", "t/b", "t/c"}));
  EXPECT_EQ(this->keys("t/a"), (Keys{"t/a-1", "t/a/x"}));
  EXPECT_EQ(this->keys("t/", "t/a/x"), (Keys{"t/b", "t/c"}));
  EXPECT_EQ(this->keys("nothing/here"), Keys{});
  EXPECT_EQ(this->store().list_folders(""), (Keys{"t"}));
  EXPECT_EQ(this->store().list_folders("t/"), (Keys{"a"}));
  EXPECT_EQ(this->store().list_folders("nothing/"), Keys{});
  ASSERT_TRUE((*unfinished)->finish());
  EXPECT_EQ(this->store().get("t/z"), "half");
}

TYPED_TEST_P(AnyObjectStore, AnUnfinishedWriterLeavesNothing) {
  {
    auto writer = this->store().create("w");
    ASSERT_TRUE((*writer)->write("lost"));
  }
  EXPECT_EQ(this->keys(""), Keys{});
}

TYPED_TEST_P(AnyObjectStore, RemovingTwiceIsTheSame) {
  ASSERT_TRUE(this->store().put("k", ""));
  EXPECT_TRUE(this->store().remove("k"));
  EXPECT_TRUE(this->store().remove("k"));
  EXPECT_EQ(this->store().get("k").error().code, Errc::not_found);
}

TYPED_TEST_P(AnyObjectStore, TakesKeysOfAnyCharacters) {
  for (const char* key : {"k/date=2026-01-02/a", "k/a b+c", "k/100%25", "k/\xc3\xa9&<>'\"?#"}) {
    SCOPED_TRACE(key);
    ASSERT_TRUE(this->store().put_if_absent(key, key));
    EXPECT_EQ(this->store().get(key), key);
    const auto objects = this->store().list(key);
    ASSERT_TRUE(objects) << objects.error().message;
    ASSERT_EQ(objects->size(), 1U);
    EXPECT_EQ(objects->front().key, key);
    EXPECT_EQ(objects->front().size_bytes, std::string_view(key).size());
  }
}

TYPED_TEST_P(AnyObjectStore, WritesAndReadsWhatIsLargerThanAnyPart) {
  std::string bytes(11 << 20, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 2654435761U >> 24U);
  auto writer = this->store().create("large");
  ASSERT_TRUE(writer);
  for (std::size_t i = 0; i < bytes.size(); i += 300'000) {
    ASSERT_TRUE((*writer)->write(std::string_view(bytes).substr(i, 300'000)));
  }
  EXPECT_EQ(this->keys(""), Keys{});
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(this->store().head("large")->size_bytes, bytes.size());
  EXPECT_TRUE(this->store().get("large") == bytes);
  EXPECT_TRUE(this->store().get_range("large", 8 << 20, 1 << 20) == bytes.substr(8 << 20, 1 << 20));
}

TYPED_TEST_P(AnyObjectStore, RemovesWhatIsUnfinishedOnceItIsOld) {
  auto writer = this->store().create("half");
  ASSERT_TRUE((*writer)->write(std::string(11 << 20, 'x')));
  const auto now = SystemClock().now();
  EXPECT_EQ(this->store().remove_unfinished("", now - std::chrono::hours(1)), 0U);
  const auto removed = this->store().remove_unfinished("", now + std::chrono::hours(1));
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_LE(*removed, 1U);
  EXPECT_EQ(this->store().remove_unfinished("", now + std::chrono::hours(1)), 0U);
  EXPECT_EQ(this->keys(""), Keys{});
}

REGISTER_TYPED_TEST_SUITE_P(AnyObjectStore, GivesBackWhatWasPut, ReadsRangesUpToTheEnd,
                            PutIfAbsentKeepsTheFirst, OneOfManyRacingPutsWins,
                            ListsFinishedObjectsInOrder, AnUnfinishedWriterLeavesNothing,
                            RemovingTwiceIsTheSame, TakesKeysOfAnyCharacters,
                            WritesAndReadsWhatIsLargerThanAnyPart,
                            RemovesWhatIsUnfinishedOnceItIsOld);

}  // namespace millrace::store
