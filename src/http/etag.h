#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace millrace::http {

// The entity tag of an answer that follows from `what` alone (RFC 9110, section 8.8.3).
std::string etag_of(std::string_view what);

// Whether the client says that it has the answer with this tag, so that 304 will do (RFC 9110,
// section 13.1.2).
bool has_already(const Request& request, std::string_view etag);

}  // namespace millrace::http
