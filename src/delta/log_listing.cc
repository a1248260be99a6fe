#include "delta/log_listing.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace millrace::delta {

namespace {

// Takes so many digits off the front of `text`.
std::optional<std::int64_t> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + digits, number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + digits) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

}  // namespace

// "N.json", "N.checkpoint.parquet", "N.checkpoint.PART.PARTS.parquet" (PROTOCOL.md, "Checkpoints").
LogListing sort_out(const std::vector<store::ObjectInfo>& objects) {
  constexpr std::size_t version_digits = 20;
  constexpr std::size_t part_digits = 10;
  constexpr std::string_view checkpoint_kind = ".checkpoint.";
  LogListing listing;
  using PartsOf = std::pair<Version, std::int64_t>;  // A version may have both kinds.
  std::map<PartsOf, std::vector<store::ObjectInfo>> checkpoints;
  for (const auto& object : objects) {
    std::string_view name = std::string_view(object.key).substr(object.key.rfind('/') + 1);
    const auto number = take_number(name, version_digits);
    if (!number) continue;
    const Version version(*number);
    if (name == ".json") listing.entries.push_back({version, object});
    if (name == ".checkpoint.parquet") checkpoints[{version, 1}].push_back(object);
    if (!name.starts_with(checkpoint_kind)) continue;
    name.remove_prefix(checkpoint_kind.size());
    const auto part = take_number(name, part_digits);
    if (!part || !name.starts_with('.')) continue;
    name.remove_prefix(1);
    const auto parts = take_number(name, part_digits);
    if (parts && *parts > 1 && name == ".parquet") {
      checkpoints[{version, *parts}].push_back(object);
    }
  }
  for (auto& [place, parts] : checkpoints) {
    if (std::cmp_equal(parts.size(), place.second)) {
      listing.checkpoints.push_back({place.first, std::move(parts)});
    }
  }
  return listing;
}

}  // namespace millrace::delta
