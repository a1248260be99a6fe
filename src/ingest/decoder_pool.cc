#include "ingest/decoder_pool.h"

#include <utility>

namespace millrace::ingest {

DecoderPool::Lease DecoderPool::lease() {
  std::unique_ptr<record::Decoder> decoder;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      decoder = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!decoder) decoder = std::make_unique<record::Decoder>(options_);
  return {*this, std::move(decoder)};
}

void DecoderPool::give_back(std::unique_ptr<record::Decoder> decoder) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(decoder));
}

}  // namespace millrace::ingest
