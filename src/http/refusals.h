#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "http/decompress.h"
#include "http/shared_state.h"

namespace millrace::http {

// What the server answers by itself, in the handler's words. All are thread-safe.

Response refusal(Shared& shared, int status, std::string message);

Response header_too_large(Shared& shared);

// `size_bytes`: what the client announced.
Response body_too_large(Shared& shared, std::optional<std::size_t> size_bytes);

Response not_decompressed(Shared& shared, DecompressionFailure failure);

Response too_many_bodies(Shared& shared);

Response too_many_connections(Shared& shared);

}  // namespace millrace::http
