#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"
#include "record/batch.h"

namespace millrace::ingest {

// What an error says besides its message, where it applies.
struct ErrorDetails {
  std::optional<std::size_t> byte_offset;  // Where the body cannot be read.
  std::optional<std::size_t> limit;        // The value of the limit that is broken.
  std::optional<std::size_t> size;         // How large it was.
};

// {"error":{"code":...,"message":...}} and the details; the code follows from the status.
http::Response error_reply(int status, std::string_view message, const ErrorDetails& details = {});

// As error_reply(), with Retry-After of whole seconds, at least 1.
http::Response retry_reply(int status, std::string_view message, int retry_after_seconds = 1);

// {"batch_id","accepted","rejected","errors":[...]} with at most `errors_max` of the rejects.
http::Response batch_reply(int status, std::string_view batch_id, const record::Batch& batch,
                           std::size_t errors_max);

// 401: what a request without a valid key gets.
http::Response no_key_reply();

http::Response text_reply(int status, std::string_view body,
                          std::string content_type = "text/plain");

// The answer to a method that is not among `allowed`: 405, or what OPTIONS asks for.
http::Response method_reply(const http::Request& request, std::string_view allowed);

// Whether the method is GET or HEAD.
bool is_read(const http::Request& request);

// What the server itself refuses, in the shape of all errors.
http::Response failure_reply(const http::Failure& failure);

}  // namespace millrace::ingest
