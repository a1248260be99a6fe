#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// Sizes and durations as people write them in the configuration and on the command line. What a
// format function returns, its parse function reads back to the same value.

// Bytes: "10MiB", "64 KiB", "1GB", "4096". Units B, kB, KB, MB, GB, TB (powers of 1000) and KiB,
// MiB, GiB, TiB (powers of 1024); none means bytes. Errors: invalid_argument, as `"10 apples" is
// not a size (want e.g. 10MiB)`.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t size_bytes);

// For people, in three digits or so: "512 B", "4.7 MiB". No parse function reads it.
std::string rounded_size(std::uint64_t size_bytes);

// "250ms", "5s", "10m", "1h", "7d"; "0" needs no unit.
// Errors: invalid_argument, as `"5" is not a duration (want e.g. 250ms, 5s, 1h or 7d)`.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// `duration` is not negative.
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace millrace
