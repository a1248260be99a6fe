#include "http/etag.h"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

Request asking(const std::string& known) {
  Request request;
  request.headers = {{"if-none-match", known}};
  return request;
}

TEST(EtagTest, FollowsFromWhatItIsOf) {
  EXPECT_EQ(etag_of("a"), etag_of("a"));
  EXPECT_NE(etag_of("a"), etag_of("b"));
  EXPECT_TRUE(etag_of("a").starts_with('"') && etag_of("a").ends_with('"'));
}

TEST(EtagTest, IsFoundAmongThoseThatTheClientHas) {
  const std::string etag = etag_of("a");
  EXPECT_TRUE(has_already(asking(etag), etag));
  EXPECT_TRUE(has_already(asking("\"x\", W/" + etag), etag));
  EXPECT_TRUE(has_already(asking("*"), etag));
  EXPECT_FALSE(has_already(asking(etag_of("b")), etag));
  EXPECT_FALSE(has_already(asking(etag.substr(1, 10)), etag));
  EXPECT_FALSE(has_already(Request{}, etag));
}

}  // namespace
}  // namespace millrace::http
