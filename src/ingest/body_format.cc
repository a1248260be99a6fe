#include "ingest/body_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::ingest {

namespace {

constexpr std::array<std::pair<std::string_view, record::Format>, 7> content_types = {{
    {"application/json", record::Format::json},
    {"application/x-ndjson", record::Format::ndjson},
    {"application/ndjson", record::Format::ndjson},
    {"application/jsonl", record::Format::ndjson},
    {"application/x-jsonlines", record::Format::ndjson},
    {"text/csv", record::Format::csv},
    {"text/plain", record::Format::combined},
}};

// The media type without its parameters, in lower case.
std::string media_type(const http::Request& request) {
  std::string_view text = request.header("content-type").value_or("");
  text = text.substr(0, text.find(';'));
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  std::string type(text);
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return type;
}

bool looks_like_json(std::string_view body) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (body.starts_with(byte_order_mark)) body.remove_prefix(byte_order_mark.size());
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (body[first] == '[' || body[first] == '{');
}

}  // namespace

bool is_format_open(const http::Request& request) {
  if (request.parameter("format")) return false;
  const std::string type = media_type(request);
  // The second is what curl sends where nobody says what it is.
  return type.empty() || type == "application/x-www-form-urlencoded";
}

Result<record::Format> format_of(const http::Request& request) {
  if (const auto format = request.parameter("format")) return record::parse_format(*format);
  const std::string type = media_type(request);
  for (const auto& [name, format] : content_types) {
    if (name == type) return format;
  }
  if (is_format_open(request) && looks_like_json(request.body)) return record::Format::json;
  return fail(
      Errc::invalid_argument,
      fmt::format("Content-Type \"{}\" is not known (want application/json, application/x-ndjson, "
                  "text/csv or text/plain, or ?format=json, ndjson, csv or combined)",
                  type));
}

}  // namespace millrace::ingest
