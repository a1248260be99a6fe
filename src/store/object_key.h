#pragma once

#include <string_view>

#include "base/result.h"

// For this folder only.
namespace millrace::store {

// The name that no segment of a key may have: where stores keep what is not finished.
inline constexpr std::string_view temporary_directory = ".tmp";

// Errors: invalid_argument, where `key` is not as ObjectStore wants it.
Result<void> check_key(std::string_view key);

}  // namespace millrace::store
