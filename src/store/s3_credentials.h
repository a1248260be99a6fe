#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "store/s3_options.h"

// For this folder only.
namespace millrace::store {

struct S3Keys {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // Empty: the keys last.

  friend bool operator==(const S3Keys&, const S3Keys&) = default;
};

// Where a client's keys come from. Thread-safe.
class S3Credentials {
 public:
  virtual ~S3Credentials() = default;

  // The keys to sign with now: those that expire are renewed in time.
  // Errors: unavailable, saying where was looked.
  virtual Result<S3Keys> current() = 0;

  // Looks for them anew, where the service says that the current ones are no good any more.
  virtual void renew() = 0;
};

// Those of the options, or else those of the environment as AWS's own tools find them.
std::unique_ptr<S3Credentials> make_s3_credentials(const S3Options& options);

}  // namespace millrace::store
