#include "delta/path_encoding.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

namespace millrace::delta {

std::string encode_path(std::string_view path) {
  constexpr std::string_view plain = "-._~/=";
  std::string uri;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || plain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      uri += fmt::format("%{:02X}", byte);
    }
  }
  return uri;
}

Result<std::string> decode_path(std::string_view uri) {
  std::string path;
  for (std::size_t at = 0; at < uri.size(); ++at) {
    if (uri[at] != '%') {
      path += uri[at];
      continue;
    }
    unsigned byte = 0;
    const char* begin = uri.data() + at + 1;
    const bool whole = at + 2 < uri.size();
    if (!whole || std::from_chars(begin, begin + 2, byte, 16).ptr != begin + 2) {
      return fail(Errc::corrupt, fmt::format("\"{}\" is no path: broken %XX at {}", uri, at));
    }
    path += static_cast<char>(byte);
    at += 2;
  }
  return path;
}

}  // namespace millrace::delta
