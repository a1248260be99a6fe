#include "http/etag.h"

#include <fmt/format.h>

#include "base/sha256.h"

namespace millrace::http {

std::string etag_of(std::string_view what) {
  return fmt::format("\"{}\"", sha256_hex(what).substr(0, 32));
}

// The quotes are part of a tag: one is found whole, in a list and after the W/ of a proxy too.
bool has_already(const Request& request, std::string_view etag) {
  const auto known = request.header("if-none-match");
  return known && (*known == "*" || known->find(etag) != std::string_view::npos);
}

}  // namespace millrace::http
