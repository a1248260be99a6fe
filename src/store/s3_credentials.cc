#include "store/s3_credentials.h"

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include <arrow/filesystem/s3fs.h>
#include <arrow/status.h>

namespace millrace::store {

namespace {

class FixedKeys final : public S3Credentials {
 public:
  explicit FixedKeys(S3Keys keys) : keys_(std::move(keys)) {}
  Result<S3Keys> current() override { return keys_; }
  void renew() override {}

 private:
  const S3Keys keys_;
};

// The AWS SDK within Arrow, started when it is first needed and ended with the process.
arrow::Status start_sdk() {
  struct Sdk {
    arrow::Status started = [] {
      auto options = arrow::fs::S3GlobalOptions::Defaults();
      options.log_level = arrow::fs::S3LogLevel::Off;
      return arrow::fs::InitializeS3(options);
    }();
    ~Sdk() { static_cast<void>(arrow::fs::FinalizeS3()); }
  };
  static const Sdk sdk;
  return sdk.started;
}

// The default chain of the AWS SDK: environment variables, the shared credentials and
// configuration files, web identity (IRSA), container and instance metadata.
class ChainOfSdk final : public S3Credentials {
 public:
  Result<S3Keys> current() override {
    const std::lock_guard lock(mutex_);
    if (!options_) {
      if (const auto started = start_sdk(); !started.ok()) {
        return fail(Errc::unavailable, "the AWS SDK does not start: " + started.ToString());
      }
      options_ = arrow::fs::S3Options::Defaults();
      made_at_ = Clock::now();
    }
    // Keys may be renewed between the calls: two readings that agree belong together.
    constexpr int readings_max = 10;
    S3Keys keys = read();
    S3Keys again = read();
    for (int i = 0; again != keys; ++i) {
      if (i == readings_max) {
        return fail(Errc::unavailable,
                    "the S3 credentials change with each reading: they expire too soon");
      }
      keys = std::exchange(again, read());
    }
    if (!keys.access_key_id.empty() && !keys.secret_access_key.empty()) return keys;
    options_.reset();
    return fail(
        Errc::unavailable,
        "no S3 credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "s3.access_key_id and s3.secret_access_key, or give the machine a role (looked at "
        "the environment, the shared credentials file, web identity and instance metadata)");
  }

  void renew() override {
    constexpr std::chrono::seconds renewals_apart(5);
    const std::lock_guard lock(mutex_);
    if (options_ && Clock::now() - made_at_ > renewals_apart) options_.reset();
  }

 private:
  using Clock = std::chrono::steady_clock;

  S3Keys read() const {
    return {options_->GetAccessKey(), options_->GetSecretKey(), options_->GetSessionToken()};
  }

  std::mutex mutex_;  // Guards what is below.
  std::optional<arrow::fs::S3Options> options_;
  Clock::time_point made_at_{};
};

}  // namespace

std::unique_ptr<S3Credentials> make_s3_credentials(const S3Options& options) {
  if (options.access_key_id.empty()) return std::make_unique<ChainOfSdk>();
  return std::make_unique<FixedKeys>(
      S3Keys{options.access_key_id, options.secret_access_key, options.session_token});
}

}  // namespace millrace::store
