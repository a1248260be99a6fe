#pragma once

#include "base/result.h"
#include "http/server.h"
#include "record/decoder.h"

namespace millrace::ingest {

// Whether only the body can tell its format: neither `format` nor Content-Type says.
bool is_format_open(const http::Request& request);

// The format of the request's body: by its parameter `format`, else by its Content-Type, else JSON
// if it begins like JSON. Errors: invalid_argument, naming what is known.
Result<record::Format> format_of(const http::Request& request);

}  // namespace millrace::ingest
