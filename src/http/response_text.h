#pragma once

#include <string>

#include "http/server.h"

namespace millrace::http {

struct ResponseForm {
  bool is_head = false;  // The headers of what GET would have answered, without the body.
  bool keeps_alive = false;
  bool is_version_1_0 = false;
};

// Appends a response as it goes over the wire (RFC 9112), with the headers that every answer has,
// and `more`, besides its own.
void append_response(std::string& out, const Response& response, const Headers& more,
                     ResponseForm form);

}  // namespace millrace::http
