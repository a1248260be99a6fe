#pragma once

#include <string_view>

#include "http/server.h"

namespace millrace::http {

// Sets the request's path and query from a request target in origin or absolute form (RFC 9112,
// sections 3.2.1 and 3.2.2).
void set_target(Request& request, std::string_view target);

}  // namespace millrace::http
