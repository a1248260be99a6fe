#include "base/config_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace millrace {
namespace {

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// The value of what stands between the braces of "${...}".
Result<std::string> value_of(std::string_view inner) {
  const std::size_t separator = inner.find(":-");
  const std::string name(inner.substr(0, separator));
  if (!is_variable_name(name)) {
    return fail(Errc::invalid_argument,
                fmt::format("\"${{{}}}\" does not name an environment variable", inner));
  }
  const char* const value = std::getenv(name.c_str());
  if (separator != std::string_view::npos) {
    if (value == nullptr || *value == '\0') return std::string(inner.substr(separator + 2));
  } else if (value == nullptr) {
    return fail(Errc::invalid_argument,
                fmt::format("the environment variable {} is not set (set it, or write ${{{}:-...}} "
                            "with a default)",
                            name, name));
  }
  return std::string(value);
}

// How many letters must be added, removed, changed or swapped with the next to get from `a` to `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> two_above(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    two_above.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string_view last_word(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

}  // namespace

Result<std::string> replace_variables(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      out += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const std::size_t end = text.find('}');
      if (end == std::string_view::npos) {
        return fail(Errc::invalid_argument,
                    "\"${\" lacks its \"}\" (write $${ for a plain \"${\")");
      }
      MR_TRY_ASSIGN(const std::string value, value_of(text.substr(2, end - 2)));
      out += value;
      text.remove_prefix(end + 1);
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string quoted_yaml(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    if (text.starts_with("${")) escaped += '$';
    escaped += text.front();
    text.remove_prefix(1);
  }
  // Every JSON string is a double-quoted YAML scalar.
  return nlohmann::json(escaped).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string nearest_path(std::string_view path, const std::vector<std::string>& known) {
  // The right word in the wrong section is a likelier slip than two wrong letters.
  constexpr std::size_t other_section_cost = 2;
  std::size_t distance_min = std::numeric_limits<std::size_t>::max();
  std::string nearest;
  for (const std::string& candidate : known) {
    const std::size_t distance =
        std::min(edit_distance(path, candidate),
                 2 * edit_distance(last_word(path), last_word(candidate)) + other_section_cost);
    if (distance < distance_min) {
      distance_min = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace millrace
