// The suite of every object store, over a real S3 service. tests/test_s3.py starts one and runs
// this.
//
// Usage: s3_store_check [gtest's flags]
// MILLRACE_S3_ENDPOINT, MILLRACE_S3_BUCKET  where; the credentials are found as AWS's tools do it
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/random_id.h"
#include "store/s3_store.h"
#include "store/testing/object_store_suite.h"

namespace millrace::store {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class InBucket {
 public:
  ObjectStore& store() { return *store_; }

 private:
  MetricsRegistry metrics_;
  std::unique_ptr<S3Store> store_ =
      *S3Store::open({.endpoint = variable("MILLRACE_S3_ENDPOINT"), .part_size_bytes = 5U << 20},
                     variable("MILLRACE_S3_BUCKET"), random_uuid(), nullptr, metrics_);
};

INSTANTIATE_TYPED_TEST_SUITE_P(OnS3, AnyObjectStore, testing::Types<InBucket>);

}  // namespace
}  // namespace millrace::store
