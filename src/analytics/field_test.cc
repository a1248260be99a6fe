#include "analytics/field.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::analytics {
namespace {

using testing::HasSubstr;

struct Case {
  std::string text;
  std::string sql;
};

TEST(FilterTest, SaysWhatItMeansInSql) {
  for (const auto& [text, sql] : {
           Case{"path=/a", "(path = '/a')"},
           Case{"path!=/a", "NOT coalesce(path = '/a', false)"},
           Case{"path^=/a", "(starts_with(path, '/a'))"},
           Case{"user_agent*=it's", "(contains(user_agent, 'it''s'))"},
           Case{"status=404", "(status = 404)"},
           Case{"status!=4xx", "NOT coalesce(status // 100 = 4, false)"},
           Case{"referrer=", "((referrer IS NULL OR (referrer)::VARCHAR = ''))"},
           Case{"path=a=b", "(path = 'a=b')"},
       }) {
    const auto filter = parse_filter(text);
    ASSERT_TRUE(filter) << text << ": " << filter.error().message;
    EXPECT_EQ(filter->sql(), sql) << text;
  }
}

TEST(FilterTest, IsToldWhatIsWrong) {
  for (const auto& [text, words] : {
           Case{"", "is not a condition"},
           Case{"path", "is not a condition"},
           Case{"path^/a", "is not a condition"},
           Case{"shoe=1", "is not a field (there are path, user_agent"},
           Case{"status=40", "is not a status"},
           Case{"status=4xy", "is not a status"},
           Case{"status=1 OR 1", "is not a status"},
           Case{"status^=4", "is not a status"},
           Case{"status^=404", "compared by = or !="},
       }) {
    const auto filter = parse_filter(text);
    ASSERT_FALSE(filter) << text;
    EXPECT_THAT(filter.error().message, HasSubstr(words)) << text;
  }
}

}  // namespace
}  // namespace millrace::analytics
