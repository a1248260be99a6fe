#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::store {

// How an S3 service is reached. Where a field is empty, the service's own rules say what is used.
struct S3Options {
  // "http://127.0.0.1:9000". Empty: AWS, by region.
  std::string endpoint{};
  // Empty: AWS_REGION, AWS_DEFAULT_REGION, or us-east-1.
  std::string region{};
  // https://ENDPOINT/BUCKET/KEY instead of https://BUCKET.ENDPOINT/KEY.
  bool uses_path_style = true;
  std::string ca_file{};  // Certificates to trust (PEM). Empty: the system's.

  // Empty: found as AWS's tools do it: environment, shared files, web identity, container,
  // instance.
  std::string access_key_id{};
  std::string secret_access_key{};
  std::string session_token{};

  std::chrono::milliseconds connect_timeout{3'000};
  // How long an attempt may stand still. While something moves it may take ten times as long.
  std::chrono::milliseconds request_timeout{20'000};
  // No attempt starts later than this after the first.
  std::chrono::milliseconds retry_timeout{30'000};

  // Uploads larger than a part go in parts; each open writer holds one in memory.
  std::uint64_t part_size_bytes = 8U << 20;
};

// Errors: invalid_argument: neither empty nor a URL of a host alone. It is not repeated: some write
// passwords into URLs.
Result<void> check_s3_endpoint(std::string_view endpoint);

}  // namespace millrace::store
