#include "columnar/string_dictionary.h"

#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace millrace::columnar {
namespace {

TEST(StringDictionary, NumbersValuesInTheOrderTheyFirstCome) {
  StringDictionary dictionary;
  EXPECT_EQ(dictionary.id_of("b"), 0);
  EXPECT_EQ(dictionary.id_of(""), 1);
  EXPECT_EQ(dictionary.id_of("b"), 0);
  EXPECT_EQ(dictionary.id_of(std::string_view("b\0", 2)), 2);
  EXPECT_EQ(dictionary.value(0), "b");
  EXPECT_EQ(dictionary.value(1), "");
  EXPECT_EQ(dictionary.size(), 3U);
}

TEST(StringDictionary, AgreesWithAMap) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    StringDictionary dictionary;
    std::map<std::string, std::int32_t> model;
    for (int step = 0; step < 5000; ++step) {
      std::string text(random() % 40, 'x');
      for (char& c : text) c = "ab"[random() % 8 == 0];
      const auto next_id = static_cast<std::int32_t>(model.size());
      const auto [it, is_new] = model.emplace(text, next_id);
      ASSERT_EQ(dictionary.id_of(text), it->second);
      ASSERT_EQ(dictionary.value(it->second), text);
    }
    EXPECT_EQ(dictionary.size(), model.size());
  }
}

}  // namespace
}  // namespace millrace::columnar
