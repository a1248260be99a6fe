#include "fuzz/decoder_check.h"

// No line may be lost.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace::record;
  const std::size_t count = check_decode(Format::combined, bytes, size);
  std::string text(reinterpret_cast<const char*>(bytes), size);
  // A carriage return counts as blank only where it ends a line.
  for (std::size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1)) {
    const bool ends_line = at + 1 == text.size() || text[at + 1] == '\n';
    if (ends_line) text[at] = ' ';
  }
  MR_ASSERT(count ==
            count_lines(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), " \t"));
  return 0;
}
