#include "ingest/body_format.h"

#include <gtest/gtest.h>

namespace millrace::ingest {
namespace {

TEST(BodyFormat, IsTheParametersElseTheTypesElseWhatTheBodyBeginsWith) {
  using record::Format;
  struct Case {
    const char* name;
    const char* parameter;  // Null: none.
    const char* type;       // Null: none.
    const char* body;
    std::optional<Format> format;
    bool is_open;
  };
  const Case cases[] = {
      {"type", nullptr, "application/json", "", Format::json, false},
      {"type with parameters", nullptr, "Text/CSV ; charset=utf-8", "", Format::csv, false},
      {"ndjson", nullptr, "application/x-ndjson", "", Format::ndjson, false},
      {"ndjson", nullptr, "application/ndjson", "", Format::ndjson, false},
      {"jsonl", nullptr, "application/jsonl", "", Format::ndjson, false},
      {"plain", nullptr, "text/plain", "", Format::combined, false},
      {"unknown", nullptr, "application/xml", "[]", std::nullopt, false},
      {"parameter wins", "combined", "application/json", "", Format::combined, false},
      {"unknown parameter", "xml", "application/json", "[]", std::nullopt, false},
      {"array", nullptr, nullptr, " \r\n[", Format::json, true},
      {"object after a mark", nullptr, nullptr, "\xEF\xBB\xBF{", Format::json, true},
      {"curl's own type", nullptr, "application/x-www-form-urlencoded", "[", Format::json, true},
      {"neither", nullptr, nullptr, "a,b", std::nullopt, true},
      {"nothing", nullptr, nullptr, "", std::nullopt, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    http::Request request;
    if (c.parameter != nullptr) request.query.emplace_back("format", c.parameter);
    if (c.type != nullptr) request.headers.emplace_back("content-type", c.type);
    request.body = c.body;
    const auto format = format_of(request);
    EXPECT_EQ(format ? std::optional(*format) : std::nullopt, c.format);
    EXPECT_EQ(is_format_open(request), c.is_open);
  }
}

}  // namespace
}  // namespace millrace::ingest
