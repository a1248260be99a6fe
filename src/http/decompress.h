#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace millrace::http {

struct DecompressionLimits {
  std::size_t size_bytes_max = 0;
  // Output per input byte; not looked at up to ratio_free_bytes of output.
  std::size_t ratio_max = 0;
};

inline constexpr std::size_t ratio_free_bytes = 1 << 20;

// Why a body was not decompressed.
struct DecompressionFailure {
  enum class Kind : std::uint8_t {
    unknown_encoding,
    malformed,  // The bytes are not of that encoding, or end too early.
    too_large,
    no_memory,
  };
  Kind kind;
  std::string message;               // For the client; names the limit.
  std::optional<std::size_t> limit;  // The one that is broken, where one is.
};

// Whether decompress() knows a Content-Encoding; "" is known.
bool is_known_encoding(std::string_view encoding);

// Decompresses a body by its Content-Encoding, in lower case: "gzip" (RFC 1952, any number of
// members), "zstd" (RFC 8878, any number of frames); "" gives it back. The bodies of clients wait
// as they came and are decompressed whole, in one call: so no more than one decompressed body for
// each thread is in memory at once, however slowly clients send. Never holds much more than the
// limits allow.
[[nodiscard]] tl::expected<std::string, DecompressionFailure> decompress(
    std::string body, std::string_view encoding, const DecompressionLimits& limits);

}  // namespace millrace::http
