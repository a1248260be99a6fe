#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "store/object_store.h"
#include "store/read_cache.h"
#include "store/s3_options.h"

namespace millrace::store {

class S3Client;

// Objects in a bucket of Amazon S3, or of another service that speaks its protocol and has
// conditional writes (If-None-Match: *). Any number of processes may use one prefix.
//
// Requests that fail in passing are sent again, for retry_timeout at most; all of a call's requests
// have done what they were to do, or are over, when it returns.
class S3Store final : public ObjectStore {
 public:
  // Objects are in `bucket`, below `prefix` (empty, or without a slash at its end). Sends nothing.
  // `metrics` must outlive it. `cache` is where local_files() puts copies; null: it is refused.
  // Errors: invalid_argument.
  static Result<std::unique_ptr<S3Store>> open(const S3Options& options, std::string bucket,
                                               std::string prefix, std::shared_ptr<ReadCache> cache,
                                               MetricsRegistry& metrics);
  ~S3Store() override;

  // Tries out what the tables rest on, with objects of its own that it removes again: of two racing
  // put_if_absent() one wins, what was written can be read and listed, and removed.
  // Errors: invalid_argument (the service breaks the promise, and why; or as the requests say),
  // unavailable (also where a permission is missing, and which).
  Result<void> prove_writable();

  // That what is there can be listed. Errors: as prove_writable().
  Result<void> prove_readable();

  Result<void> put(std::string_view key, std::string_view bytes) override;
  Result<void> put_if_absent(std::string_view key, std::string_view bytes) override;
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, std::uint64_t offset_bytes,
                                std::uint64_t size_bytes) override;
  Result<ObjectInfo> head(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix,
                                       std::string_view start_after = {}) override;
  Result<std::vector<std::string>> list_folders(std::string_view prefix) override;
  Result<void> remove(std::string_view key) override;
  Result<void> make_durable(std::string_view) override { return {}; }
  Result<std::unique_ptr<LocalFiles>> local_files(const std::vector<ObjectSize>& objects,
                                                  const StopCheck& stop) override;
  Result<std::size_t> remove_unfinished(std::string_view prefix, Timestamp until) override;
  void hurry() override;

 private:
  S3Store(std::unique_ptr<S3Client> client, std::string prefix, std::shared_ptr<ReadCache> cache);

  Result<void> prove_with(const std::string& key);
  Result<std::string> whole_key(std::string_view key) const;

  const std::unique_ptr<S3Client> client_;
  const std::string prefix_;  // Empty, or with a slash at its end.
  const std::shared_ptr<ReadCache> cache_;
};

}  // namespace millrace::store
