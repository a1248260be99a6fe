#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/headers.h"
#include "base/metrics.h"
#include "base/result.h"
#include "http_client/client.h"
#include "store/s3_credentials.h"
#include "store/s3_options.h"

// For this folder only.
namespace millrace::store {

struct S3Request {
  std::string_view method;
  std::string_view operation;   // "GetObject": for messages and metrics.
  std::string_view permission;  // "s3:GetObject": what to ask for where access is denied.
  std::string key{};            // Empty: the bucket itself.
  // Not encoded, in the order of their names.
  std::vector<std::pair<std::string, std::string>> parameters{};
  Headers headers{};
  std::string_view body{};
  bool is_repeated = true;  // Failing attempts are, until retry_timeout.
  // What tells the service's own answer of success from one of something on the way to it: a
  // header, the element that the body is, or nothing but an empty body.
  std::string_view answer_header{};
  std::string_view answer_element{};
};

// Sends signed requests to one bucket, again where that can help. Thread-safe: each request has a
// connection of its own while it lasts.
class S3Client {
 public:
  // `metrics` must outlive it. Errors: invalid_argument (an endpoint that is no URL).
  static Result<std::unique_ptr<S3Client>> create(S3Options options, std::string bucket,
                                                  MetricsRegistry& metrics);

  // The answer, if it is the service's, and one of success.
  // Errors:
  //   not_found       no such object, or upload: the service itself says so.
  //   already_exists  If-None-Match did not hold; an attempt of this call may be why.
  //   exhausted       the service is full; nothing was written.
  //   unavailable     all else, also what needs an operator: no such bucket, another region, denied
  //                   access, credentials. Perhaps done.
  Result<http_client::ClientResponse> send(const S3Request& request);

  // From now on no attempt is repeated, and none waits for long. From any thread.
  void hurry() { is_hurried_ = true; }

  const S3Options& options() const { return options_; }
  const std::string& bucket() const { return bucket_; }

 private:
  using Client = http_client::Client;

  struct Attempt {
    Result<http_client::ClientResponse> response;
    bool may_help_to_repeat = false;
    bool has_surely_done_nothing = false;
  };

  S3Client(S3Options options, std::string bucket, MetricsRegistry& metrics);

  Attempt attempt(const S3Request& request);
  Attempt judge(const S3Request& request, http_client::ClientResponse response);
  Attempt judge_failure(const S3Request& request, const http_client::ClientResponse& response);
  std::string url_of(const S3Request& request) const;
  std::unique_ptr<Client> take_connection();
  void give_back(std::unique_ptr<Client> connection);

  const S3Options options_;
  const std::string bucket_;
  std::string base_url_;
  MetricsRegistry& metrics_;
  const std::unique_ptr<S3Credentials> credentials_;
  std::atomic<bool> is_hurried_{false};

  std::mutex mutex_;  // Guards idle_.
  std::vector<std::unique_ptr<Client>> idle_;
};

}  // namespace millrace::store
