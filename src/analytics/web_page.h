#pragma once

#include <optional>
#include <string_view>

#include "http/server.h"

namespace millrace::analytics {

// The file of the web page at a path ("/", "/app.js", ...), which this binary holds compressed.
// nullopt: there is none.
std::optional<http::Response> web_page(const http::Request& request);

bool is_of_web_page(std::string_view path);

}  // namespace millrace::analytics
