#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::analytics {

// What records can be filtered and grouped by: a column, or what follows from some.
struct Field {
  enum class Kind : std::uint8_t { text, status };

  std::string_view name;
  Kind kind = Kind::text;
  std::vector<std::string_view> columns;  // Of access_logs: what `sql` reads.
  std::string_view sql;
  bool has_few_values = false;  // So few that a time series may be split by it.
};

// nullptr: there is none of that name.
const Field* find_field(std::string_view name);

// The names of all, or of those with few values, for messages.
std::string field_names(bool with_few_values_only = false);

enum class Comparison : std::uint8_t { equal, different, starts_with, contains };

// A condition on a record.
struct Filter {
  const Field* field = nullptr;
  Comparison comparison = Comparison::equal;
  std::string value;  // Empty: where the field is null, or an empty text.

  std::string sql() const;
};

// "path=/cart", "status!=404", "status=5xx", "path^=/blog/", "user_agent*=curl".
// Errors: invalid_argument.
Result<Filter> parse_filter(std::string_view text);

}  // namespace millrace::analytics
