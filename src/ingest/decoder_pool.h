#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "record/decoder.h"

namespace millrace::ingest {

// Decoders for any number of threads. Each keeps buffers of the size of the largest body that it
// has read, so there are only as many as were ever in use at once. Thread-safe.
class DecoderPool {
 public:
  // A decoder for one thread, given back when it goes. The pool must outlive it.
  class Lease {
   public:
    Lease(DecoderPool& pool, std::unique_ptr<record::Decoder> decoder)
        : pool_(pool), decoder_(std::move(decoder)) {}
    ~Lease() { pool_.give_back(std::move(decoder_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    record::Decoder* operator->() const { return decoder_.get(); }

   private:
    DecoderPool& pool_;
    std::unique_ptr<record::Decoder> decoder_;
  };

  explicit DecoderPool(record::DecoderOptions options) : options_(std::move(options)) {}

  Lease lease();

 private:
  void give_back(std::unique_ptr<record::Decoder> decoder);

  const record::DecoderOptions options_;

  std::mutex mutex_;  // Guards what is below.
  std::vector<std::unique_ptr<record::Decoder>> idle_;
};

}  // namespace millrace::ingest
