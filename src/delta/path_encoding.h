#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::delta {

// A file's path as the log holds it: a relative URI (PROTOCOL.md, "Add File and Remove File"),
// every byte but letters, digits and "-._~/=" as %XX.
std::string encode_path(std::string_view path);

// The inverse. Errors: corrupt, for a broken %XX.
Result<std::string> decode_path(std::string_view uri);

}  // namespace millrace::delta
