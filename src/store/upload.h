#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/object_store.h"

namespace millrace::store {

// Brings a local file into the store, piece by piece, and returns its size.
// Errors: unavailable (the file cannot be read), and those of the store.
Result<std::uint64_t> upload_file(const std::string& path, ObjectStore& store,
                                  std::string_view key);

}  // namespace millrace::store
