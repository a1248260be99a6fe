#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/result.h"
#include "store/object_store.h"
#include "store/s3_options.h"

namespace millrace::store {

// Where a store is, and all that it takes to open it there.
struct Location {
  std::string url;  // "s3://bucket/prefix", or a directory.
  S3Options s3{};
  // For copies of what is read from S3.
  std::string cache_directory{};
  std::uint64_t cache_size_bytes_max = 10ULL << 30;
};

enum class Access { read_only, read_write };

// Whether a text is an S3 location as open_store() takes it.
bool is_s3(std::string_view url);

// Errors: invalid_argument: it starts like one and is none.
Result<void> check_location(std::string_view url);

// Opens the store, and makes sure that it keeps its promises there: of S3 this takes about ten
// requests where it is to be written. `metrics` must outlive the store.
// Errors: invalid_argument, not_found (a directory that is to be read only), exhausted,
// unavailable.
Result<std::unique_ptr<ObjectStore>> open_store(const Location& location, Access access,
                                                MetricsRegistry& metrics);

}  // namespace millrace::store
