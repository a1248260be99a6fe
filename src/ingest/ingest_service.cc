#include "ingest/ingest_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/random_id.h"
#include "ingest/api_document.h"
#include "ingest/body_format.h"
#include "ingest/replies.h"

namespace millrace::ingest {

namespace {

constexpr std::string_view logs_path = "/logs";
constexpr std::size_t idempotency_key_size_max = 255;

constexpr std::string_view welcome =
    "Millrace takes batches of web access logs.\n\n"
    "  POST /logs          JSON, NDJSON, CSV or combined log lines; see "
    "/openapi.yaml\n"
    "  GET  /openapi.yaml  the description of this API\n"
    "  GET  /healthz       200 while the process lives\n"
    "  GET  /readyz        200 while it takes batches\n";

// nullopt: the parameter is neither.
std::optional<bool> truth_of(std::optional<std::string_view> parameter) {
  if (!parameter || *parameter == "0" || *parameter == "false") return false;
  if (*parameter == "1" || *parameter == "true" || parameter->empty()) return true;
  return std::nullopt;
}

bool is_idempotency_key(std::string_view text) {
  return !text.empty() && text.size() <= idempotency_key_size_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

}  // namespace

IngestService::IngestService(IngestOptions options, journal::Appender& appender, const Clock& clock,
                             MetricsRegistry& metrics, const Readiness& readiness)
    : options_(std::move(options)),
      appender_(appender),
      clock_(clock),
      metrics_(metrics),
      decoders_(options_.decoder),
      readiness_(readiness) {
  set_keys(options_.api_keys);
}

void IngestService::set_keys(std::vector<ApiKey> keys) {
  const auto before = senders();
  std::vector<std::shared_ptr<RateLimiter>> limiters;
  for (const ApiKey& key : keys) {
    std::shared_ptr<RateLimiter> limiter;
    for (std::size_t i = 0; before && i < before->limiters.size(); ++i) {
      const ApiKey& old = before->keys.all()[i];
      const bool is_same =
          old.sha256 == key.sha256 && old.records_per_second_max == key.records_per_second_max;
      if (is_same) limiter = before->limiters[i];
    }
    if (!limiter && key.records_per_second_max > 0) {
      limiter = std::make_shared<RateLimiter>(key.records_per_second_max, clock_);
    }
    limiters.push_back(std::move(limiter));
  }
  auto now = std::make_shared<const Senders>(ApiKeys(std::move(keys)), std::move(limiters));
  const std::lock_guard lock(mutex_);
  senders_ = std::move(now);
}

std::shared_ptr<const IngestService::Senders> IngestService::senders() const {
  const std::lock_guard lock(mutex_);
  return senders_;
}

std::optional<http::Response> IngestService::admit(const http::Request& request) {
  if (request.path != logs_path || request.method != "POST") return other_reply(request);
  auto refused = refusal(request);
  if (refused) metrics_.request_refused(refused->status);
  return refused;
}

void IngestService::handle(http::Request request, http::Responder responder) {
  metrics_.request_read(request.body_bytes_received);
  take_batch(std::move(request), PendingReply(std::move(responder), metrics_, clock_));
}

http::Response IngestService::failure(const http::Failure& failure) {
  metrics_.request_refused(failure.status);
  return failure_reply(failure);
}

// The answer to everything but a batch.
http::Response IngestService::other_reply(const http::Request& request) const {
  if (request.path == logs_path) return method_reply(request, "POST, OPTIONS");
  if (request.path == "*") return method_reply(request, "GET, HEAD, POST, OPTIONS");
  const bool is_known = request.path == "/" || request.path == "/healthz" ||
                        request.path == "/readyz" || request.path == "/openapi.yaml";
  if (!is_known) return error_reply(404, "there is nothing here (see / for what there is)");
  if (!is_read(request)) return method_reply(request, "GET, HEAD, OPTIONS");
  if (request.path == "/") return text_reply(200, welcome);
  if (request.path == "/healthz") return text_reply(200, "ok\n");
  if (request.path == "/readyz") return readiness_.response();
  return text_reply(200, api_document(), "application/yaml");
}

// What the header of a batch alone tells against it.
std::optional<http::Response> IngestService::refusal(const http::Request& request) {
  const auto sender = authenticate(request);
  if (!sender) return no_key_reply();
  if (!sender->key_name && !may_page_send(request)) {
    return error_reply(403, fmt::format("a page of {} may not send here without an API key (see "
                                        "http.cors_origins)",
                                        *request.header("origin")));
  }
  if (!truth_of(request.parameter("strict"))) {
    return error_reply(400, "strict: want 1, 0, true or false");
  }
  const auto idempotency_key = request.header("idempotency-key");
  if (idempotency_key && !is_idempotency_key(*idempotency_key)) {
    return error_reply(400, fmt::format("Idempotency-Key: want 1 to {} visible ASCII characters",
                                        idempotency_key_size_max));
  }
  if (!is_format_open(request)) {
    const auto format = format_of(request);
    if (!format) return error_reply(415, format.error().message);
  }
  // A sender in debt is told before its body is read and decoded.
  return take_tokens(*sender, 0);
}

bool IngestService::may_page_send(const http::Request& request) const {
  if (!is_of_strange_page(request)) return true;
  const auto origin = request.header("origin");
  return std::any_of(
      options_.cors_origins.begin(), options_.cors_origins.end(),
      [&](const std::string& allowed) { return allowed == "*" || allowed == *origin; });
}

// The answer to a sender that has to wait before it may send `records` more.
std::optional<http::Response> IngestService::take_tokens(const Sender& sender,
                                                         std::size_t records) {
  if (!sender.limiter) return std::nullopt;
  const auto wait = sender.limiter->take(static_cast<std::int64_t>(records));
  if (wait.count() == 0) return std::nullopt;
  return retry_reply(429, "the key's limit of records per second is reached",
                     static_cast<int>((wait.count() + 999) / 1000));
}

std::optional<IngestService::Sender> IngestService::authenticate(
    const http::Request& request) const {
  const auto known = senders();
  if (known->keys.is_empty()) return Sender{std::nullopt, options_.default_site, nullptr};
  const auto key = key_in(request);
  const auto found = key ? known->keys.find(*key) : std::nullopt;
  if (!found) return std::nullopt;
  const ApiKey& owner = known->keys.all()[*found];
  return Sender{owner.name, owner.site, known->limiters[*found]};
}

void IngestService::take_batch(http::Request request, PendingReply reply) {
  const auto sender = authenticate(request);
  if (!sender) return reply.send(no_key_reply());  // The key went since admit().
  record::Batch batch;
  batch.site = sender->site;
  batch.received_at = clock_.now();
  std::string reply_id;
  if (const auto id = request.header("idempotency-key")) {
    reply_id = *id;
    batch.batch_id = sender->key_name ? fmt::format("{}/{}", *sender->key_name, *id) : reply_id;
  } else {
    reply_id = random_uuid();
  }
  if (auto refused = decode(request, *sender, batch)) return reply.send(*std::move(refused));
  const std::size_t records = batch.record_count + batch.rejects.size();
  if (truth_of(request.parameter("strict")).value_or(false) && !batch.rejects.empty()) {
    batch.record_count = 0;
    return reply.send(batch_reply(400, reply_id, batch, options_.reply_errors_max));
  }
  if (auto later = take_tokens(*sender, records)) return reply.send(*std::move(later));
  if (records == 0) {
    return reply.send(batch_reply(202, reply_id, batch, options_.reply_errors_max));
  }
  append(std::move(reply_id), std::move(batch), std::move(reply));
}

// The answer to a body that cannot be read; nullopt: it is in the batch.
std::optional<http::Response> IngestService::decode(http::Request& request, const Sender& sender,
                                                    record::Batch& batch) {
  const auto format = format_of(request);
  if (!format) return error_reply(415, format.error().message);
  const auto decoder = decoders_.lease();
  const auto failure = decoder->decode(*format, request.body, sender.key_name.has_value(), batch);
  if (!failure) return std::nullopt;
  if (failure->kind == record::DecodeFailure::Kind::too_many_records) {
    return error_reply(413, failure->message, {.limit = options_.decoder.records_max});
  }
  return error_reply(400, failure->message, {.byte_offset = failure->byte_offset});
}

void IngestService::append(std::string reply_id, record::Batch batch, PendingReply reply) {
  // The callback outlives this call, and one owner of the reply has to answer either way.
  struct Pending {
    std::string reply_id;
    record::Batch batch;
    PendingReply reply;
  };
  // Batches that may come again go where the first one went; the others where it costs least.
  journal::Entry entry{.key = batch.batch_id ? reply_id : std::string(),
                       .value = {},
                       .headers = record::encode_headers(batch)};
  entry.value = std::move(batch.records);
  const auto pending =
      std::make_shared<Pending>(Pending{std::move(reply_id), std::move(batch), std::move(reply)});
  const auto taken =
      appender_.append(std::move(entry), [this, pending](Result<journal::Offset> offset) {
        if (!offset) return pending->reply.send(not_taken(offset.error()));
        metrics_.batch_acknowledged(pending->batch);
        const int status = pending->batch.record_count == 0 ? 400 : 202;
        pending->reply.send(
            batch_reply(status, pending->reply_id, pending->batch, options_.reply_errors_max));
      });
  if (!taken) pending->reply.send(not_taken(taken.error()));
}

http::Response IngestService::not_taken(const Error& error) const {
  if (error.code != Errc::invalid_argument) return retry_reply(503, error.message);
  return error_reply(413, error.message, {.limit = appender_.entry_size_bytes_max()});
}

}  // namespace millrace::ingest
