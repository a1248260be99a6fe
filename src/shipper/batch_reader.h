#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::shipper {

enum class InputFormat { detect, combined, json, ndjson, csv };

// Errors: invalid_argument, naming the formats.
Result<InputFormat> parse_input_format(std::string_view text);

// A piece of an input that is a request body on its own: whole lines, for CSV under the input's
// header row, for JSON an array of whole elements.
struct InputBatch {
  std::string body;
  std::size_t record_count = 0;
  std::uint64_t offset_bytes = 0;  // Where it starts in the (uncompressed) input.
};

struct BatchLimits {
  std::size_t records_max = 1000;
  std::size_t size_bytes_max = 1024 * 1024;
  // An input that pauses for this long gets what it has so far sent.
  std::chrono::milliseconds pause{1000};
};

// Where an input's bytes come from.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Waits up to `timeout` for bytes and appends some to `out`. Errors: unavailable.
  enum class Outcome { some, none_yet, end };
  virtual Result<Outcome> read(std::string& out, std::chrono::milliseconds timeout) = 0;
};

// A file, decompressed where it is gzip; "-" is standard input, as it is.
// Errors: not_found, unavailable.
Result<std::unique_ptr<ByteSource>> open_source(const std::string& path);

// Cuts one input into batches. The same input gives the same batches, whatever the pauses in it,
// except for those that a pause cut short. One thread.
class BatchReader {
 public:
  // `name` is for messages and, where `format` is `detect`, for its extension.
  BatchReader(std::unique_ptr<ByteSource> source, std::string name, InputFormat format,
              BatchLimits limits);

  // The next batch; nullopt at the end of the input, or at a pause in it once `stop` is true.
  // Errors: unavailable (reading failed), invalid_argument (not the format it should be; the
  // message names the place).
  Result<std::optional<InputBatch>> next(const std::atomic<bool>& stop);

  // What `detect` turned out to be, once next() has returned a batch.
  InputFormat format() const { return format_; }

 private:
  enum class Fill { more, paused, end };
  Result<Fill> fill();
  Result<void> detect_format();
  Result<bool> take_csv_header();
  bool take_lines(InputBatch& batch);
  Result<bool> take_elements(InputBatch& batch);
  std::size_t record_end(std::size_t begin) const;
  Result<std::optional<std::size_t>> element_end(std::size_t begin) const;
  void consume(std::size_t size_bytes);

  std::unique_ptr<ByteSource> source_;
  const std::string name_;
  InputFormat format_;
  const BatchLimits limits_;
  std::string buffer_;
  std::size_t consumed_ = 0;  // Of the buffer.
  std::uint64_t offset_bytes_ = 0;
  std::string csv_header_;
  bool in_array_ = false;
  bool array_done_ = false;
  bool at_end_ = false;
};

}  // namespace millrace::shipper
