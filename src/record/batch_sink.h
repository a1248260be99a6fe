#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "record/batch.h"
#include "record/canonical.h"
#include "record/decoder.h"
#include "record/record_assembler.h"

namespace millrace::record {

// Collects a batch's records as one format's reader finds them: between begin() and end() the
// reader adds the values to assembler(). One thread.
class BatchSink {
 public:
  // `options` must outlive the sink.
  explicit BatchSink(const DecoderOptions& options) : options_(options), assembler_(options) {}

  void start(Batch& batch, bool site_is_fixed);

  RecordAssembler& assembler() { return assembler_; }

  // False: the batch has as many records as it may have.
  bool begin();
  // `payload`: the record as it came.
  void end(std::string_view payload);
  // The record that was begun cannot even be read.
  void refuse(std::string_view payload, std::string reason);

  std::size_t record_count() const { return index_; }

 private:
  void reject(std::string_view payload, Fault fault);

  const DecoderOptions& options_;
  RecordAssembler assembler_;
  Batch* batch_ = nullptr;
  std::size_t index_ = 0;
};

// The readers of the formats. Each reads a whole body into `sink`; a failure is one of the body.
// They leave `body` as it is.
std::optional<DecodeFailure> read_csv(std::string_view body, BatchSink& sink);
std::optional<DecodeFailure> read_combined(std::string_view body, BatchSink& sink);

DecodeFailure too_many_records(const DecoderOptions& options);

}  // namespace millrace::record
