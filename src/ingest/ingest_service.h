#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "http/server.h"
#include "ingest/api_keys.h"
#include "ingest/decoder_pool.h"
#include "ingest/ingest_metrics.h"
#include "ingest/pending_reply.h"
#include "ingest/rate_limiter.h"
#include "ingest/readiness.h"
#include "journal/journal.h"
#include "record/decoder.h"

namespace millrace::ingest {

struct IngestOptions {
  record::DecoderOptions decoder;
  std::string default_site = "default";  // Of records that name none, where no key does.
  std::size_t reply_errors_max = 100;
  std::vector<ApiKey> api_keys;  // Empty: everybody may send.
  // Whose pages' scripts may send where everybody may; "*": all. A page of this host may always.
  std::vector<std::string> cors_origins;
};

// The ingestion API (docs/api.yaml): takes batches of log records, checks them, and answers once
// the journal has them. Everything but a batch, and what the header of a batch tells against it, is
// answered by admit(). Thread-safe. The appender may still call back until it is closed: the
// service must live that long.
class IngestService final : public http::Handler {
 public:
  // All must outlive the service.
  IngestService(IngestOptions options, journal::Appender& appender, const Clock& clock,
                MetricsRegistry& metrics, const Readiness& readiness);

  // Who may send from now on; requests that were admitted before go on. Keys that stay keep what
  // they have used of their limits. From any thread.
  void set_keys(std::vector<ApiKey> keys);

  std::optional<http::Response> admit(const http::Request& request) override;
  void handle(http::Request request, http::Responder responder) override;
  http::Response failure(const http::Failure& failure) override;

 private:
  // Who is known, at one time. Immutable.
  struct Senders {
    ApiKeys keys;
    std::vector<std::shared_ptr<RateLimiter>> limiters;  // By key; null: no limit.
  };

  struct Sender {
    std::optional<std::string> key_name;  // nullopt: anybody may send.
    std::string site;
    std::shared_ptr<RateLimiter> limiter;  // Null: no limit.
  };

  std::shared_ptr<const Senders> senders() const;
  std::optional<Sender> authenticate(const http::Request& request) const;
  // What the journal refused, now or later.
  http::Response not_taken(const Error& error) const;
  bool may_page_send(const http::Request& request) const;
  std::optional<http::Response> refusal(const http::Request& request);
  std::optional<http::Response> take_tokens(const Sender& sender, std::size_t records);
  http::Response other_reply(const http::Request& request) const;
  void take_batch(http::Request request, PendingReply reply);
  std::optional<http::Response> decode(http::Request& request, const Sender& sender,
                                       record::Batch& batch);
  void append(std::string reply_id, record::Batch batch, PendingReply reply);

  const IngestOptions options_;
  journal::Appender& appender_;
  const Clock& clock_;
  IngestMetrics metrics_;
  DecoderPool decoders_;
  const Readiness& readiness_;

  mutable std::mutex mutex_;  // Guards senders_.
  std::shared_ptr<const Senders> senders_;
};

}  // namespace millrace::ingest
