#include "store/object_key.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::store {

Result<void> check_key(std::string_view key) {
  bool valid = !key.empty();
  for (std::size_t begin = 0; valid && begin <= key.size();) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view segment = key.substr(begin, end - begin);
    valid = !segment.empty() && segment != "." && segment != ".." &&
            segment != temporary_directory && segment.find('\0') == std::string_view::npos;
    begin = end + 1;
  }
  if (valid) return {};
  return fail(Errc::invalid_argument, fmt::format("\"{}\" is not the key of an object", key));
}

}  // namespace millrace::store
