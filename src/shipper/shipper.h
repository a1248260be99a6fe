#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "shipper/batch_reader.h"

namespace millrace::shipper {

enum class Compression { none, gzip, zstd };

struct ShipperOptions {
  std::string url;  // Of the API: "http://127.0.0.1:8080".
  std::string api_key;
  std::string ca_file{};  // Certificates to trust (PEM). Empty: the system's.
  InputFormat format = InputFormat::detect;
  Compression compression = Compression::zstd;
  BatchLimits limits;
  int connections = 4;
  std::chrono::milliseconds request_timeout{60'000};
  std::chrono::milliseconds retry_for{300'000};  // A batch is given up after this long.
  bool is_strict = false;                        // A batch with a bad record is refused whole.
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

// One request.
struct Delivery {
  std::string name;  // For messages: "the batch at byte 17 of access.log".
  InputFormat format = InputFormat::ndjson;
  std::string body;
  std::size_t record_count = 0;
  std::string idempotency_key;
};

// Posts batches to a Millrace API over several connections. Answers 408, 429, 500, 502, 503, 504
// and lost connections are retried, no sooner than Retry-After says; any other refusal means that
// the batch was not delivered. One thread may call it.
class Shipper {
 public:
  // Is told what goes wrong when it does, at most 20 times; by one thread at a time.
  using MessageSink = std::function<void(const std::string&)>;

  // `progress` and `stop` must outlive it. Once `stop` is true, nothing is tried again.
  Shipper(ShipperOptions options, ShipperProgress& progress, const std::atomic<bool>& stop,
          MessageSink on_message);
  ~Shipper();

  // Hands one over, and waits while enough are under way. False: it was not taken, because all
  // would fail alike: the API refuses this sender (401, 403, 404, 405), or has taken nothing for
  // ShipperOptions::retry_for.
  bool send(Delivery delivery);

  // Waits until each is acknowledged or given up.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Sends the files' records in batches. A batch's Idempotency-Key comes from its bytes and its
// offset in the file: the same file sent again in batches of the same size carries the same keys.
// `stop` ends reading early; what has been read is still sent.
//
// Every file is tried; of those that cannot be read, messages tell. Returns whether all was read.
bool ship_files(const ShipperOptions& options, const std::vector<std::string>& paths,
                const std::atomic<bool>& stop, ShipperProgress& progress,
                Shipper::MessageSink on_message);

// Errors: invalid_argument, naming the compressions.
Result<Compression> parse_compression(std::string_view text);

// The Idempotency-Key of a batch: a part of the SHA-256 of its bytes, and its offset.
std::string idempotency_key(const InputBatch& batch);

}  // namespace millrace::shipper
