#include "delta/log_listing.h"

#include <charconv>
#include <cstdint>
#include <string_view>

namespace millrace::delta {

LogListing sort_out(const std::vector<store::ObjectInfo>& objects) {
  constexpr std::size_t version_digits = 20;
  LogListing listing;
  for (const auto& object : objects) {
    const std::string_view name = std::string_view(object.key).substr(object.key.rfind('/') + 1);
    if (name.size() < version_digits) continue;
    std::int64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + version_digits, number);
    if (parsed.ptr != name.data() + version_digits) continue;
    const std::string_view kind = name.substr(version_digits);
    if (kind == ".json") listing.entries.push_back({Version(number), object});
    if (kind == ".checkpoint.parquet") listing.checkpoints.push_back({Version(number), object});
  }
  return listing;
}

}  // namespace millrace::delta
