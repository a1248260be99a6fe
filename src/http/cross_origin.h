#pragma once

#include <string>
#include <vector>

#include "base/headers.h"
#include "http/server.h"

namespace millrace::http {

// What the answer to `request` says to a browser whose script asks from another origin: nothing
// unless that origin is among `allowed_origins` ("https://example.com"; "*": all). To the browser's
// question before the request (OPTIONS) also which methods and headers it may use.
// Source: the Fetch standard, section 3.2, "CORS protocol".
Headers cross_origin_headers(const Request& request,
                             const std::vector<std::string>& allowed_origins);

}  // namespace millrace::http
