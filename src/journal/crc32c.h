#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::journal {

// The CRC-32C (Castagnoli) of `bytes`, as RFC 3720 section 12.1 defines it; with that of what
// stands before them, the CRC of both together. Uses the processor's instruction where there is
// one.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc_before = 0);

// The same, whatever the processor has; for the test that both agree.
std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t crc_before = 0);

}  // namespace millrace::journal
