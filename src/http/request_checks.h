#pragma once

#include <optional>
#include <string>

#include "http/server.h"

namespace millrace::http {

// Why it is not certain where the request's body ends or whom it is for: a proxy in front of us
// might read it otherwise (RFC 9112, sections 3.2 and 6.3). nullopt: it is certain.
std::optional<std::string> framing_problem(const Request& request, bool is_http_1_0);

// The request's Content-Encoding in lower case, several joined by ", ". Empty: not encoded.
std::string content_encoding(const Request& request);

}  // namespace millrace::http
