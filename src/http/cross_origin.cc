#include "http/cross_origin.h"

#include <algorithm>

namespace millrace::http {

Headers cross_origin_headers(const Request& request,
                             const std::vector<std::string>& allowed_origins) {
  if (allowed_origins.empty()) return {};
  const auto is_allowed = [&](std::string_view origin) {
    return std::find(allowed_origins.begin(), allowed_origins.end(), origin) !=
           allowed_origins.end();
  };
  const bool is_everybody = is_allowed("*");
  Headers headers;
  // A cache must not give one origin the answer to another.
  if (!is_everybody) headers.emplace_back("Vary", "Origin");
  const auto origin = request.header("origin");
  if (!origin || !(is_everybody || is_allowed(*origin))) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", is_everybody ? "*" : std::string(*origin));
  if (request.method == "OPTIONS" && request.header("access-control-request-method")) {
    headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
    headers.emplace_back(
        "Access-Control-Allow-Headers",
        "Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-API-Key");
    headers.emplace_back("Access-Control-Max-Age", "600");
  } else {
    headers.emplace_back("Access-Control-Expose-Headers", "Retry-After");
  }
  return headers;
}

}  // namespace millrace::http
