#include "ingest/replies.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace millrace::ingest {

namespace {

using nlohmann::ordered_json;

const char* code_of(int status) {
  switch (status) {
    case 400: return "bad_request";
    case 401: return "unauthorized";
    case 403: return "forbidden";
    case 404: return "not_found";
    case 405: return "method_not_allowed";
    case 408: return "timeout";
    case 413: return "too_large";
    case 415: return "unsupported";
    case 429: return "rate_limited";
    case 431: return "header_too_large";
    case 503: return "unavailable";
    default: return "internal";
  }
}

// Messages may quote what the client sent, which may be any bytes.
std::string dumped(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

http::Response error_reply(int status, std::string_view message, const ErrorDetails& details) {
  ordered_json error = {{"code", code_of(status)}, {"message", message}};
  if (details.byte_offset) error["byte_offset"] = *details.byte_offset;
  if (details.limit) error["limit"] = *details.limit;
  if (details.size) error["size"] = *details.size;
  return {.status = status,
          .content_type = "application/json",
          .headers = {},
          .body = dumped({{"error", error}}) + "\n"};
}

http::Response retry_reply(int status, std::string_view message, int retry_after_seconds) {
  http::Response response = error_reply(status, message);
  response.headers.emplace_back("Retry-After", std::to_string(std::max(retry_after_seconds, 1)));
  return response;
}

http::Response batch_reply(int status, std::string_view batch_id, const record::Batch& batch,
                           std::size_t errors_max) {
  http::Response response{
      .status = status, .content_type = "application/json", .headers = {}, .body = {}};
  if (batch.rejects.empty()) {
    response.body =
        fmt::format("{{\"batch_id\":{},\"accepted\":{},\"rejected\":0,\"errors\":[]}}\n",
                    dumped(batch_id), batch.record_count);
    return response;
  }
  ordered_json errors = ordered_json::array();
  for (const record::Reject& reject : batch.rejects) {
    if (errors.size() == errors_max) break;
    errors.push_back({{"index", reject.index}, {"field", reject.field}, {"reason", reject.reason}});
  }
  ordered_json reply = {{"batch_id", batch_id},
                        {"accepted", batch.record_count},
                        {"rejected", batch.rejects.size()},
                        {"errors", errors}};
  if (errors.size() < batch.rejects.size()) reply["errors_truncated"] = true;
  response.body = dumped(reply) + "\n";
  return response;
}

http::Response no_key_reply() {
  http::Response response = error_reply(
      401,
      "no valid API key (want the header \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\")");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

http::Response text_reply(int status, std::string_view body, std::string content_type) {
  return {.status = status,
          .content_type = std::move(content_type),
          .headers = {},
          .body = std::string(body)};
}

http::Response method_reply(const http::Request& request, std::string_view allowed) {
  http::Response response =
      request.method == "OPTIONS"
          ? text_reply(204, "", "")
          : error_reply(
                405, fmt::format("{} is not allowed here (allowed: {})", request.method, allowed));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

bool is_read(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

http::Response failure_reply(const http::Failure& failure) {
  return error_reply(failure.status, failure.message,
                     {.byte_offset = {}, .limit = failure.limit, .size = failure.size});
}

}  // namespace millrace::ingest
