#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "shipper/batch_reader.h"

namespace millrace::shipper {

enum class Compression { none, gzip, zstd };

struct ShipperOptions {
  std::string url;  // Of the API: "http://127.0.0.1:8080".
  std::string api_key;
  InputFormat format = InputFormat::detect;
  Compression compression = Compression::zstd;
  BatchLimits limits;
  int connections = 4;
  std::chrono::milliseconds request_timeout{60'000};
  std::chrono::milliseconds retry_for{300'000};  // A batch is given up after this long.
};

// What has been sent so far; read by another thread for the progress bar.
struct ShipperProgress {
  std::atomic<std::uint64_t> batches_sent{0};
  std::atomic<std::uint64_t> records_accepted{0};
  std::atomic<std::uint64_t> records_rejected{0};
  std::atomic<std::uint64_t> records_undelivered{0};
  std::atomic<std::uint64_t> bytes_read{0};
  std::atomic<std::uint64_t> bytes_sent{0};  // Compressed.
  std::atomic<std::uint64_t> retries{0};
};

// Posts the files' records to a Millrace API, in batches over several connections, and waits until
// each is acknowledged or given up. A batch's Idempotency-Key comes from its bytes and its offset
// in the file: the same file sent again carries the same keys. Answers 408, 429, 500, 502, 503, 504
// and lost connections are retried, no sooner than Retry-After says; any other refusal counts the
// batch's records as rejected.
//
// `stop` ends reading early; what has been read is still sent. Messages of what went wrong are
// added to `problems`, at most 20. Errors: not_found, unavailable or invalid_argument where an
// input cannot be read; batches read before are sent all the same.
Result<void> ship(const ShipperOptions& options, const std::vector<std::string>& paths,
                  const std::atomic<bool>& stop, ShipperProgress& progress,
                  std::vector<std::string>& problems);

// Errors: invalid_argument, naming the compressions.
Result<Compression> parse_compression(std::string_view text);

// The Idempotency-Key of a batch: a part of the SHA-256 of its bytes, and its offset.
std::string idempotency_key(const InputBatch& batch);

}  // namespace millrace::shipper
