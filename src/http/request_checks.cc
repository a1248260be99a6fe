#include "http/request_checks.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace millrace::http {

namespace {

std::size_t count_of(const Request& request, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(request.headers.begin(), request.headers.end(),
                    [name](const auto& header) { return header.first == name; }));
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace

std::optional<std::string> framing_problem(const Request& request, bool is_http_1_0) {
  const std::size_t lengths = count_of(request, "content-length");
  const std::size_t codings = count_of(request, "transfer-encoding");
  if (lengths + codings > 1) {
    return "the request has both Content-Length and Transfer-Encoding, or several of one";
  }
  if (codings == 1 && is_http_1_0) return "HTTP/1.0 has no Transfer-Encoding";
  if (codings == 1 && lower_case(*request.header("transfer-encoding")) != "chunked") {
    return "Transfer-Encoding: only \"chunked\" is known";
  }
  const std::size_t hosts = count_of(request, "host");
  if (hosts > 1 || (hosts == 0 && !is_http_1_0)) return "want one Host header";
  return std::nullopt;
}

std::string content_encoding(const Request& request) {
  std::string joined;
  for (const auto& [name, value] : request.headers) {
    if (name != "content-encoding" || value.empty()) continue;
    if (!joined.empty()) joined += ", ";
    joined += lower_case(value);
  }
  return joined == "identity" ? "" : joined;
}

}  // namespace millrace::http
