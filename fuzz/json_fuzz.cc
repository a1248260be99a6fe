#include "fuzz/decoder_check.h"

// The same bytes as one JSON body and as JSON lines; no line may be lost among the latter.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace::record;
  check_decode(Format::json, bytes, size);
  const std::size_t count = check_decode(Format::ndjson, bytes, size);
  MR_ASSERT(count == count_lines(bytes, size, " \t\r"));
  return 0;
}
