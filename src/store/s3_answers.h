#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/object_store.h"

// For this folder only: the XML that S3 answers with (Amazon S3 API Reference).
namespace millrace::store {

// The body of an answer that is an error. Fields that are not there are empty.
struct S3ErrorBody {
  std::string code;  // "NoSuchKey"
  std::string message;
  std::string region;  // Where the bucket is, if the request went elsewhere.
};

// Reads what there is of it: proxies answer with bodies of their own.
S3ErrorBody parse_s3_error(std::string_view xml);

// Whether an answer is a document of that element.
bool is_s3_document(std::string_view xml, std::string_view element);

// One page of ListObjectsV2. Keys are whole.
struct S3ListPage {
  std::vector<ObjectInfo> objects;
  std::vector<std::string> folders;  // Common prefixes, with the slash at their ends.
  std::string continuation_token;    // Empty: the last page.
};
// Errors: corrupt.
Result<S3ListPage> parse_s3_list_page(std::string_view xml);

// Of CreateMultipartUpload. Errors: corrupt.
Result<std::string> parse_s3_upload_id(std::string_view xml);

// The body of CompleteMultipartUpload; `etags` in the order of the parts.
std::string s3_part_list(const std::vector<std::string>& etags);

// An upload in parts that nobody has finished, as ListMultipartUploads shows it.
struct S3Upload {
  std::string key;
  std::string upload_id;
  Timestamp started;
};
struct S3UploadPage {
  std::vector<S3Upload> uploads;
  std::string next_key_marker;  // Both empty: the last page.
  std::string next_upload_id_marker;
};
// Errors: corrupt.
Result<S3UploadPage> parse_s3_upload_page(std::string_view xml);

}  // namespace millrace::store
