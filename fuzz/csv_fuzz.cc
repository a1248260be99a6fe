#include "fuzz/decoder_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  millrace::record::check_decode(millrace::record::Format::csv, bytes, size);
  return 0;
}
