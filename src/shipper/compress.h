#pragma once

#include <string>
#include <string_view>

#include "shipper/shipper.h"

namespace millrace::shipper {

// A whole gzip member (RFC 1952) or zstd frame (RFC 8878). `none` returns the bytes.
std::string compress(std::string_view bytes, Compression compression);

}  // namespace millrace::shipper
