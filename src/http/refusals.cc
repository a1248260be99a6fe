#include "http/refusals.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::http {

namespace {

Response limit_broken(Shared& shared, int status, std::string message, std::size_t limit,
                      std::optional<std::size_t> size = std::nullopt) {
  Response response = shared.handler.failure(
      {.status = status, .message = std::move(message), .limit = limit, .size = size});
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

int status_of(DecompressionFailure::Kind kind) {
  switch (kind) {
    case DecompressionFailure::Kind::unknown_encoding: return 415;
    case DecompressionFailure::Kind::too_large: return 413;
    case DecompressionFailure::Kind::no_memory: return 503;
    case DecompressionFailure::Kind::malformed: break;
  }
  return 400;
}

}  // namespace

Response refusal(Shared& shared, int status, std::string message) {
  return shared.handler.failure(
      {.status = status, .message = std::move(message), .limit = {}, .size = {}});
}

Response header_too_large(Shared& shared) {
  const std::size_t limit = shared.options.header_bytes_max;
  return limit_broken(
      shared, 431, fmt::format("the header has more than {} bytes (http.header_size_max)", limit),
      limit);
}

Response body_too_large(Shared& shared, std::optional<std::size_t> size_bytes) {
  const std::size_t limit = shared.options.body_bytes_max;
  return limit_broken(shared, 413,
                      fmt::format("the body has more than {} bytes (http.body_size_max)", limit),
                      limit, size_bytes);
}

Response not_decompressed(Shared& shared, DecompressionFailure failure) {
  const int status = status_of(failure.kind);
  if (failure.limit) return limit_broken(shared, status, failure.message, *failure.limit);
  Response response = refusal(shared, status, std::move(failure.message));
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

Response too_many_bodies(Shared& shared) {
  const std::size_t limit = shared.options.bodies_in_flight_bytes_max;
  return limit_broken(
      shared, 503,
      fmt::format(
          "request bodies of more than {} bytes are under way (http.bodies_in_flight_size_max)",
          limit),
      limit);
}

Response too_many_connections(Shared& shared) {
  const std::size_t limit = shared.options.connections_max;
  return limit_broken(shared, 503,
                      fmt::format("more than {} connections (http.connections_max)", limit), limit);
}

}  // namespace millrace::http
