#include "store/s3_answers.h"

#include <gtest/gtest.h>

namespace millrace::store {
namespace {

TEST(S3Error, GivesWhatIsThere) {
  const auto error = parse_s3_error(
      "<?xml version=\"1.0\"?><Error><Code>PermanentRedirect</Code><Message>Go there</Message>"
      "<Region>eu-west-1</Region></Error>");
  EXPECT_EQ(error.code, "PermanentRedirect");
  EXPECT_EQ(error.message, "Go there");
  EXPECT_EQ(error.region, "eu-west-1");
  for (const char* other : {"", "<html><body>502</body></html>", "<Error><Code>", "\xff\xfe"}) {
    EXPECT_EQ(parse_s3_error(other).message, "") << other;
  }
}

TEST(S3ListPage, DecodesKeysOnlyWhereTheServiceEncodedThem) {
  const std::string rest =
      "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"
      "<Contents><Key>t/date%3D1/a+b</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
      "<Size>12</Size></Contents><CommonPrefixes><Prefix>t/x%2F</Prefix></CommonPrefixes>"
      "</ListBucketResult>";
  const auto encoded =
      parse_s3_list_page("<ListBucketResult><EncodingType>url</EncodingType>" + rest);
  ASSERT_TRUE(encoded);
  EXPECT_EQ(encoded->objects.at(0).key, "t/date=1/a b");
  EXPECT_EQ(encoded->objects.at(0).size_bytes, 12U);
  EXPECT_EQ(encoded->folders.at(0), "t/x/");
  EXPECT_EQ(encoded->continuation_token, "more");
  const auto plain = parse_s3_list_page("<ListBucketResult>" + rest);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->objects.at(0).key, "t/date%3D1/a+b");
}

TEST(S3ListPage, RefusesWhatIsNoListing) {
  for (const char* text :
       {"", "<html/>",
        "<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"}) {
    const auto page = parse_s3_list_page(text);
    ASSERT_FALSE(page) << text;
    EXPECT_EQ(page.error().code, Errc::corrupt);
  }
}

TEST(S3Upload, IsStartedAndFinished) {
  EXPECT_EQ(parse_s3_upload_id("<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                               "</InitiateMultipartUploadResult>"),
            "u1");
  EXPECT_FALSE(parse_s3_upload_id("<InitiateMultipartUploadResult/>"));
  EXPECT_NE(s3_part_list({"\"a\"", "\"b\""}).find("<PartNumber>2</PartNumber><ETag>\"b\"</ETag>"),
            std::string::npos);
}

}  // namespace
}  // namespace millrace::store
