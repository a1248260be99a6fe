#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::http {

struct DecompressionLimits {
  std::size_t size_bytes_max = 0;
  // Output per input byte; not looked at below ratio_free_bytes of output.
  std::size_t ratio_max = 0;
};

inline constexpr std::size_t ratio_free_bytes = 1 << 20;

// Decompresses a body by its Content-Encoding: "gzip" (RFC 1952, any number of members), "zstd"
// (RFC 8878, any number of frames); "" and "identity" give it back. Never makes more than the
// limits allow. Errors:
//   not_found         an encoding that is not known.
//   invalid_argument  the bytes are not of that encoding, or end too early.
//   exhausted         a limit; the message names it.
Result<std::string> decompress(std::string body, std::string_view encoding,
                               const DecompressionLimits& limits);

}  // namespace millrace::http
