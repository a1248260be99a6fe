#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace millrace::record {

using Attributes = std::vector<std::pair<std::string_view, std::string_view>>;

// One request that a web server answered, in canonical form: names, units and meaning are those of
// the table access_logs (docs/formats/records.md). A view: the strings are borrowed from what it
// was read from.
struct Record {
  Timestamp timestamp;
  std::string_view path;  // Without the query string.
  std::optional<std::string_view> site;
  std::optional<std::string_view> query;
  std::optional<std::string_view> method;
  std::optional<std::string_view> host;
  std::optional<std::string_view> referrer;
  std::optional<std::string_view> user_agent;
  std::optional<std::string_view> client_ip;
  std::optional<std::string_view> protocol;
  std::optional<std::string_view> country;
  std::optional<std::int32_t> status;
  std::optional<std::int64_t> bytes;
  std::optional<std::int64_t> duration_us;
  Attributes attributes;  // Sorted by name, names unique.
};

}  // namespace millrace::record
