#include "ingest/ingest_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/log.h"
#include "base/random_id.h"
#include "ingest/api_document.h"
#include "ingest/replies.h"

namespace millrace::ingest {

namespace {

constexpr std::string_view logs_path = "/logs";
constexpr std::size_t idempotency_key_size_max = 255;

constexpr std::string_view welcome =
    "Millrace takes batches of web access logs.\n\n"
    "  POST /logs          JSON, NDJSON, CSV or combined log lines; see /openapi.yaml\n"
    "  GET  /openapi.yaml  the description of this API\n"
    "  GET  /healthz       200 while the process lives\n"
    "  GET  /readyz        200 while it takes batches\n";

constexpr std::array<std::pair<std::string_view, record::Format>, 7> content_types = {{
    {"application/json", record::Format::json},
    {"application/x-ndjson", record::Format::ndjson},
    {"application/ndjson", record::Format::ndjson},
    {"application/jsonl", record::Format::ndjson},
    {"application/x-jsonlines", record::Format::ndjson},
    {"text/csv", record::Format::csv},
    {"text/plain", record::Format::combined},
}};

http::Response text_reply(int status, std::string_view body,
                          std::string content_type = "text/plain") {
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

// The media type without its parameters, in lower case.
std::string media_type(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return type;
}

std::optional<std::string_view> key_in(const http::Request& request) {
  if (const auto key = request.header("x-api-key")) return key;
  const auto authorization = request.header("authorization");
  constexpr std::string_view scheme = "bearer ";
  if (!authorization || authorization->size() < scheme.size()) return std::nullopt;
  std::string given(authorization->substr(0, scheme.size()));
  std::transform(given.begin(), given.end(), given.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (given != scheme) return std::nullopt;
  return authorization->substr(scheme.size());
}

bool is_true(std::optional<std::string_view> parameter) {
  return parameter && (*parameter == "1" || *parameter == "true" || parameter->empty());
}

bool is_idempotency_key(std::string_view text) {
  return !text.empty() && text.size() <= idempotency_key_size_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

}  // namespace

IngestService::IngestService(IngestOptions options, journal::Appender& appender, const Clock& clock,
                             MetricsRegistry& metrics, std::vector<ReadinessCheck> readiness_checks)
    : options_(std::move(options)),
      keys_(options_.api_keys),
      appender_(appender),
      clock_(clock),
      metrics_(metrics),
      readiness_checks_(std::move(readiness_checks)) {
  for (const ApiKey& key : keys_.all()) {
    limiters_.push_back(key.records_per_second_max > 0
                            ? std::make_unique<RateLimiter>(key.records_per_second_max, clock)
                            : nullptr);
  }
}

// Refuses what needs no body to be refused.
std::optional<http::Response> IngestService::admit(const http::Request& request) {
  if (request.path != logs_path || request.method != "POST") return std::nullopt;
  const auto start = clock_.monotonic_now();
  if (!authenticate(request)) {
    http::Response response = error_reply(
        401,
        "no valid API key (want the header \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\")");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return answered(std::move(response), start);
  }
  const auto idempotency_key = request.header("idempotency-key");
  if (idempotency_key && !is_idempotency_key(*idempotency_key)) {
    return answered(
        error_reply(400, fmt::format("Idempotency-Key: want 1 to {} visible ASCII characters",
                                     idempotency_key_size_max)),
        start);
  }
  return std::nullopt;
}

void IngestService::handle(http::Request request, http::Responder responder) {
  if (request.path == logs_path) {
    if (request.method == "POST") return take_batch(std::move(request), std::move(responder));
    return responder.respond(method_reply(request, "POST, OPTIONS"));
  }
  const bool is_known = request.path == "/" || request.path == "/healthz" ||
                        request.path == "/readyz" || request.path == "/openapi.yaml";
  if (!is_known) {
    return responder.respond(error_reply(404, "there is nothing here (see / for what there is)"));
  }
  if (!is_read(request)) return responder.respond(method_reply(request, "GET, HEAD, OPTIONS"));
  if (request.path == "/") return responder.respond(text_reply(200, welcome));
  if (request.path == "/healthz") return responder.respond(text_reply(200, "ok\n"));
  if (request.path == "/readyz") return responder.respond(readiness());
  responder.respond(text_reply(200, api_document(), "application/yaml"));
}

http::Response IngestService::failure(int status, std::string message) {
  return error_reply(status, message);
}

http::Response IngestService::readiness() const {
  if (is_draining_) return retry_reply(503, "shutting down");
  if (const auto failure = appender_.failure()) return retry_reply(503, *failure);
  for (const ReadinessCheck& check : readiness_checks_) {
    if (const auto reason = check()) return retry_reply(503, *reason);
  }
  return text_reply(200, "ready\n");
}

std::optional<IngestService::Sender> IngestService::authenticate(
    const http::Request& request) const {
  if (keys_.is_empty()) return Sender{std::nullopt, options_.default_site};
  const auto key = key_in(request);
  const auto found = key ? keys_.find(*key) : std::nullopt;
  if (!found) return std::nullopt;
  return Sender{found, keys_.all()[*found].site};
}

void IngestService::take_batch(http::Request request, http::Responder responder) {
  const auto start = clock_.monotonic_now();
  metrics_.request_read(request.body_bytes_received);
  const auto sender = authenticate(request);
  if (!sender) return;  // admit() has seen to it; the responder answers 500.
  record::Batch batch;
  batch.site = sender->site;
  batch.received_at = clock_.now();
  std::string reply_id;
  if (const auto id = request.header("idempotency-key")) {
    reply_id = *id;
    batch.batch_id =
        sender->key ? fmt::format("{}/{}", keys_.all()[*sender->key].name, *id) : reply_id;
  } else {
    reply_id = random_uuid();
  }
  if (auto refused = decode(request, *sender, batch)) {
    return responder.respond(answered(*std::move(refused), start));
  }
  const std::size_t records = batch.record_count + batch.rejects.size();
  if (is_true(request.parameter("strict")) && !batch.rejects.empty()) {
    batch.record_count = 0;
    return responder.respond(
        answered(batch_reply(400, reply_id, batch, options_.reply_errors_max), start));
  }
  if (sender->key && limiters_[*sender->key]) {
    const auto wait = limiters_[*sender->key]->take(static_cast<std::int64_t>(records));
    if (wait.count() > 0) {
      const int seconds = static_cast<int>((wait.count() + 999) / 1000);
      return responder.respond(answered(
          retry_reply(429, "the key's limit of records per second is reached", seconds), start));
    }
  }
  if (records == 0) {
    return responder.respond(
        answered(batch_reply(202, reply_id, batch, options_.reply_errors_max), start));
  }
  append(std::move(reply_id), std::move(batch), std::move(responder), start);
}

Result<record::Format> IngestService::format_of(const http::Request& request) const {
  if (const auto format = request.parameter("format")) return record::parse_format(*format);
  const std::string type = media_type(request.header("content-type").value_or(""));
  for (const auto& [name, format] : content_types) {
    if (name == type) return format;
  }
  const auto first = request.body.find_first_not_of(" \t\r\n");
  const bool looks_like_json =
      first != std::string::npos && (request.body[first] == '[' || request.body[first] == '{');
  // What curl sends where nobody says what it is.
  const bool says_nothing = type.empty() || type == "application/x-www-form-urlencoded";
  if (says_nothing && looks_like_json) return record::Format::json;
  return fail(
      Errc::invalid_argument,
      fmt::format("Content-Type \"{}\" is not known (want application/json, "
                  "application/x-ndjson, text/csv or text/plain, or ?format=json, ndjson, csv "
                  "or combined)",
                  type));
}

// The answer to a body that cannot be read; nullopt: it is in the batch.
std::optional<http::Response> IngestService::decode(http::Request& request, const Sender& sender,
                                                    record::Batch& batch) {
  // Decoders keep buffers of the size of the largest body; one for each thread is enough.
  thread_local std::unique_ptr<record::Decoder> decoder;
  thread_local const IngestService* decoder_owner = nullptr;
  if (decoder_owner != this) {
    decoder = std::make_unique<record::Decoder>(options_.decoder);
    decoder_owner = this;
  }
  const auto format = format_of(request);
  if (!format) return error_reply(415, format.error().message);
  const auto failure = decoder->decode(*format, request.body, sender.key.has_value(), batch);
  if (!failure) return std::nullopt;
  const bool is_too_large = failure->kind == record::DecodeFailure::Kind::too_many_records;
  return error_reply(is_too_large ? 413 : 400, failure->message, failure->byte_offset);
}

void IngestService::append(std::string reply_id, record::Batch batch, http::Responder responder,
                           std::chrono::steady_clock::time_point start) {
  // The callback outlives this call, and one owner of the responder has to answer either way.
  struct Pending {
    std::string reply_id;
    record::Batch batch;
    http::Responder responder;
  };
  journal::Entry entry{.key = reply_id, .value = {}, .headers = record::encode_headers(batch)};
  entry.value = std::move(batch.records);
  const auto pending = std::make_shared<Pending>(
      Pending{std::move(reply_id), std::move(batch), std::move(responder)});
  const auto taken = appender_.append(std::move(entry), [this, pending,
                                                         start](Result<journal::Offset> offset) {
    if (!offset) {
      pending->responder.respond(answered(retry_reply(503, offset.error().message), start));
      return;
    }
    metrics_.batch_acknowledged(pending->batch);
    const int status = pending->batch.record_count == 0 ? 400 : 202;
    pending->responder.respond(answered(
        batch_reply(status, pending->reply_id, pending->batch, options_.reply_errors_max), start));
  });
  if (taken) return;
  const bool is_too_large = taken.error().code == Errc::invalid_argument;
  pending->responder.respond(answered(is_too_large ? error_reply(413, taken.error().message)
                                                   : retry_reply(503, taken.error().message),
                                      start));
}

http::Response IngestService::answered(http::Response response,
                                       std::chrono::steady_clock::time_point start) {
  metrics_.answered(response.status, clock_.monotonic_now() - start);
  return response;
}

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
  if (request.path == "/readyz") return responder.respond(ingest_.readiness());
  responder.respond(text_reply(200, metrics_.exposition(), "text/plain; version=0.0.4"));
}

http::Response AdminService::failure(int status, std::string message) {
  return error_reply(status, message);
}

}  // namespace millrace::ingest
