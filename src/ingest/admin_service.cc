#include "ingest/admin_service.h"

#include "ingest/replies.h"

namespace millrace::ingest {

std::optional<http::Response> AdminService::admit(const http::Request&) { return std::nullopt; }

void AdminService::handle(http::Request request, http::Responder responder) {
  const bool is_known =
      request.path == "/metrics" || request.path == "/healthz" || request.path == "/readyz";
  if (!is_known) {
    return responder.respond(
        error_reply(404, "there is nothing here (want /metrics, /healthz or /readyz)"));
  }
  if (!is_read(request)) return responder.respond(method_reply(request, "GET, HEAD, OPTIONS"));
  if (request.path == "/healthz") return responder.respond(text_reply(200, "ok\n"));
  if (request.path == "/readyz") return responder.respond(readiness_.response());
  responder.respond(text_reply(200, metrics_.exposition(), "text/plain; version=0.0.4"));
}

http::Response AdminService::failure(const http::Failure& failure) {
  return failure_reply(failure);
}

}  // namespace millrace::ingest
