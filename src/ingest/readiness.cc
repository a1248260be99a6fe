#include "ingest/readiness.h"

#include "ingest/replies.h"

namespace millrace::ingest {

http::Response Readiness::response() const {
  if (is_draining_) return retry_reply(503, "shutting down");
  for (const ReadinessCheck& check : checks_) {
    if (const auto reason = check()) return retry_reply(503, *reason);
  }
  return {.status = 200, .content_type = "text/plain", .headers = {}, .body = "ready\n"};
}

}  // namespace millrace::ingest
