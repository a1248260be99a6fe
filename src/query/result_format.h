#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sql/engine.h"

namespace millrace::query {

enum class ResultFormat : std::uint8_t { table, csv, json, ndjson };

// Errors: invalid_argument, naming the formats.
Result<ResultFormat> parse_result_format(std::string_view text);

// Takes the text of a result piece by piece. False: no more is wanted.
using TextOutput = std::function<bool(std::string_view)>;

// A sink that writes a result in a format:
//   table   columns for people, as wide as the first 1,000 rows need; NULL as "NULL", control
//           characters as "\x1B"
//   csv     RFC 4180 with a header row; NULL as nothing, an empty text as ""
//   json    one array of objects
//   ndjson  one object per line
// finish() must be called after the last row.
class FormattedSink : public sql::RowSink {
 public:
  virtual void finish() = 0;
};
std::unique_ptr<FormattedSink> format_result(ResultFormat format, TextOutput output);

}  // namespace millrace::query
