#include "analytics/analytics_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "analytics/answer.h"
#include "analytics/web_page.h"
#include "base/log.h"
#include "base/time_text.h"
#include "http/etag.h"
#include "ingest/api_document.h"
#include "ingest/replies.h"
#include "query/result_format.h"

namespace millrace::analytics {

namespace {

using ingest::error_reply;
using nlohmann::ordered_json;

constexpr std::string_view api_folder = "/api/";
constexpr std::string_view freshness_path = "/api/v1/freshness";

// In the metrics, as nginx counts it: HTTP has no status for what nobody gets.
constexpr int status_of_gone_client = 499;

// Answers are the reader's own, and may be kept as long as the tables stay as they are.
void add_cache_headers(http::Response& response, const std::string& etag) {
  response.headers.emplace_back("ETag", etag);
  response.headers.emplace_back("Cache-Control", "private, no-cache");
  response.headers.emplace_back("Vary", "Authorization, X-API-Key, Accept");
}

std::optional<http::Response> not_modified(const http::Request& request, const std::string& etag) {
  if (!http::has_already(request, etag)) return std::nullopt;
  http::Response response{.status = 304, .content_type = "", .headers = {}, .body = ""};
  add_cache_headers(response, etag);
  return response;
}

// All that the answer depends on, but for the tables.
std::string identity_of(const Question& question, const http::Request& request) {
  std::string text = fmt::format("{} {} {} {} {} {}\n", request.path, to_rfc3339(question.from),
                                 to_rfc3339(question.to), question.site.value_or(""),
                                 fmt::join(question.sites, "\n"), question.is_csv);
  for (const auto& [name, value] : request.query) text += fmt::format("{}={}\n", name, value);
  return text;
}

std::string json_head(const Question& question, const Plan& plan) {
  ordered_json head;
  if (question.topic != Topic::recent) {
    head["from"] = to_rfc3339(question.from);
    head["to"] = to_rfc3339(question.to);
  }
  head["site"] = question.site ? ordered_json(*question.site) : ordered_json();
  head["sources"] = ordered_json::array();
  for (const Part& part : plan.parts) {
    ordered_json source = {{"table", part.table}, {"version", nullptr}};
    if (part.files) source["version"] = part.files->version.value();
    if (part.files && part.files->lag) source["versions_behind"] = part.files->lag->versions;
    const auto& known = head["sources"];
    if (std::ranges::find(known, source) == known.end()) head["sources"].push_back(source);
  }
  std::string text = head.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  text.pop_back();
  return text + ",\"rows\":";
}

std::string sources_header(const Plan& plan) {
  std::string text;
  for (const Part& part : plan.parts) {
    const std::string source =
        fmt::format("{}@{}", part.table, part.files ? part.files->version.value() : -1);
    if (text.find(source) == std::string::npos) text += (text.empty() ? "" : ", ") + source;
  }
  return text;
}

// What is wrong with the tables is for who runs this: it names files and addresses.
http::Response unreadable(const Error& error) {
  log(LogLevel::warn, "query: a question could not be answered", {{"reason", error.message}});
  return ingest::retry_reply(503, "the tables cannot be read just now (the server's log says why)");
}

http::Response failure_of(const Error& error, const sql::Engine& engine,
                          std::chrono::milliseconds timeout, bool is_client_gone) {
  if (is_client_gone) {
    return error_reply(503, "the client closed its side of the connection before the answer");
  }
  if (engine.is_interrupted()) {
    return error_reply(
        503,
        fmt::format("the answer took longer than {} ms (query.timeout): ask for a shorter time, "
                    "or for one site",
                    timeout.count()));
  }
  if (error.code == Errc::exhausted) {
    log(LogLevel::warn, "query: a question needs more than there is", {{"reason", error.message}});
    return error_reply(
        503,
        "the answer needs more memory (query.memory_max) or more room for files of "
        "S3 (cache.size_max) than there is: ask for a shorter time, or for one site");
  }
  return unreadable(error);
}

ordered_json json_of(const TableState& state, bool is_of_all_sites) {
  ordered_json json = {{"name", state.name},    {"version", nullptr}, {"files", nullptr},
                       {"bytes", nullptr},      {"records", nullptr}, {"newest_record", nullptr},
                       {"newest_file", nullptr}};
  if (state.version.value() >= 0) json["version"] = state.version.value();
  if (is_of_all_sites) {
    json["files"] = state.files;
    json["bytes"] = state.bytes;
    if (state.records) json["records"] = *state.records;
    if (state.newest_record) json["newest_record"] = to_rfc3339(*state.newest_record);
    if (state.newest_file) json["newest_file"] = to_rfc3339(*state.newest_file);
  }
  if (state.lag) {
    json["versions_behind"] = state.lag->versions;
    json["seconds_behind"] = state.lag->time.count();
  }
  return json;
}

}  // namespace

AnalyticsService::AnalyticsService(AnalyticsOptions options, store::ObjectStore& lake,
                                   const Clock& clock, MetricsRegistry& metrics,
                                   const ingest::Readiness& readiness)
    : options_(std::move(options)),
      lake_(lake),
      clock_(clock),
      metrics_(metrics),
      readiness_(readiness),
      duration_(metrics.histogram("millrace_query_duration_seconds",
                                  "How long answering a question took, without waiting.",
                                  duration_seconds_buckets())),
      tables_(lake, clock),
      readers_(std::make_shared<const Readers>(options_.access)),
      pool_(options_.pool) {}

bool AnalyticsService::owns(std::string_view path) {
  return path.starts_with(api_folder) || is_of_web_page(path);
}

void AnalyticsService::set_access(ReadAccess access) {
  auto now = std::make_shared<const Readers>(std::move(access));
  const std::lock_guard lock(mutex_);
  readers_ = std::move(now);
}

std::shared_ptr<const Readers> AnalyticsService::readers() const {
  const std::lock_guard lock(mutex_);
  return readers_;
}

std::optional<http::Response> AnalyticsService::admit(const http::Request& request) {
  if (request.path == "/healthz") return ingest::text_reply(200, "ok\n");
  if (request.path == "/readyz") return readiness_.response();
  if (request.path == "/openapi.yaml") {
    return ingest::text_reply(200, ingest::api_document(), "application/yaml");
  }
  if (!owns(request.path)) return error_reply(404, "there is nothing here (see /openapi.yaml)");
  if (!ingest::is_read(request)) return ingest::method_reply(request, "GET, HEAD, OPTIONS");
  if (auto file = web_page(request)) return file;
  const bool is_known = request.path == freshness_path || topic_of(request.path);
  if (!is_known) return error_reply(404, "there is nothing here (see /openapi.yaml)");
  auto refusal = readers()->permission(request).refusal;
  if (refusal) count(request.path, refusal->status);
  return refusal;
}

void AnalyticsService::handle(http::Request request, http::Responder responder) {
  const auto refuse = [&](http::Response response) {
    count(request.path, response.status);
    responder.respond(std::move(response));
  };
  const auto permission = readers()->permission(request);
  if (permission.refusal) return refuse(*permission.refusal);
  std::optional<Question> question;
  if (const auto topic = topic_of(request.path)) {
    auto parsed = parse_question(*topic, request, clock_.now());
    if (!parsed) return refuse(error_reply(400, parsed.error().message));
    question = *std::move(parsed);
    question->sites = permission.sites;
    const auto& sites = permission.sites;
    if (!question->site && sites.size() == 1) question->site = sites.front();
    if (question->site && !sites.empty() &&
        std::ranges::find(sites, *question->site) == sites.end()) {
      return refuse(
          error_reply(403, fmt::format("the key may read {} only", fmt::join(sites, ", "))));
    }
  }
  // The page drops what it asked for where its reader goes on to something else.
  StopCheck is_unwanted = responder.client_check();
  // std::function copies what it holds.
  const auto pending =
      std::make_shared<Pending>(std::move(request), std::move(responder), std::move(is_unwanted),
                                permission.sites, std::move(question));
  const auto answer = [this, pending](const Result<sql::Engine*>& engine) {
    const auto start = clock_.monotonic_now();
    http::Response response = !engine             ? ingest::retry_reply(503, engine.error().message)
                              : pending->question ? answer_question(*pending, **engine)
                                                  : freshness(pending->sites);
    duration_.observe(std::chrono::duration<double>(clock_.monotonic_now() - start).count());
    const bool was_dropped = response.status >= 500 && pending->is_unwanted();
    count(pending->request.path, was_dropped ? status_of_gone_client : response.status);
    pending->responder.respond(std::move(response));
  };
  if (pool_.submit(permission.reader, answer, pending->is_unwanted)) return;
  count(pending->request.path, 503);
  pending->responder.respond(
      ingest::retry_reply(503, "too many questions wait (query.waiting_max)"));
}

http::Response AnalyticsService::answer_question(const Pending& pending, sql::Engine& engine) {
  const Question& question = *pending.question;
  const http::Request& request = pending.request;
  const auto planned = plan(question, tables_);
  if (!planned) return unreadable(planned.error());
  const std::string etag =
      http::etag_of(options_.version + identity_of(question, request) + planned->versions());
  if (auto unchanged = not_modified(request, etag)) return *std::move(unchanged);
  http::Response response;
  const auto sink =
      query::format_result(question.is_csv ? query::ResultFormat::csv : query::ResultFormat::json,
                           [&](std::string_view text) {
                             response.body += text;
                             return true;
                           });
  if (!question.is_csv) response.body = json_head(question, *planned);
  const auto answered = answer(*planned, question, lake_, engine, *sink);
  if (!answered) {
    return failure_of(answered.error(), engine, options_.pool.timeout, pending.is_unwanted());
  }
  sink->finish();
  if (question.is_csv) {
    response.content_type = "text/csv; charset=utf-8";
    response.headers.emplace_back("Content-Disposition",
                                  fmt::format("attachment; filename=\"{}.csv\"",
                                              request.path.substr(request.path.rfind('/') + 1)));
    response.headers.emplace_back("X-Millrace-Sources", sources_header(*planned));
  } else {
    response.body += "}\n";
  }
  add_cache_headers(response, etag);
  return response;
}

http::Response AnalyticsService::freshness(const std::vector<std::string>& sites) {
  const auto states = look_at_tables();
  if (!states) return unreadable(states.error());
  ordered_json tables = ordered_json::array();
  // What all sites have together, and when they got it, is not for those who may read some.
  for (const TableState& state : *states) tables.push_back(json_of(state, sites.empty()));
  const ordered_json body = {{"now", to_rfc3339(clock_.now())}, {"tables", std::move(tables)}};
  http::Response response{.body = body.dump() + "\n"};
  // It says what time it is.
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

Result<void> AnalyticsService::refresh_gauges() {
  MR_TRY(look_at_tables());
  return {};
}

Result<std::vector<TableState>> AnalyticsService::look_at_tables() {
  MR_TRY_ASSIGN(auto states, tables_.states());
  for (const TableState& state : states) {
    const MetricLabels labels = {{"table", state.name}};
    if (state.newest_record) {
      const std::chrono::duration<double> seconds = state.newest_record->time_since_epoch();
      metrics_
          .gauge("millrace_query_table_newest_record_timestamp_seconds",
                 "When the newest record of a table was received; of a rollup, its newest hour.",
                 labels)
          .set(seconds.count());
    }
    if (state.lag) {
      metrics_
          .gauge("millrace_query_rollup_lag_versions",
                 "Versions of access_logs that a rollup does not cover yet, by table, as its "
                 "readers see it.",
                 labels)
          .set(static_cast<double>(state.lag->versions));
      metrics_
          .gauge(
              "millrace_query_rollup_lag_seconds",
              "How long ago the first version of access_logs was committed that a rollup does not "
              "cover yet; of one that covers nothing, the age of the oldest record.",
              labels)
          .set(static_cast<double>(state.lag->time.count()));
    }
  }
  return states;
}

http::Response AnalyticsService::failure(const http::Failure& failure) {
  return ingest::failure_reply(failure);
}

void AnalyticsService::count(std::string_view path, int status) {
  metrics_
      .counter("millrace_query_requests_total", "Requests to the analytics API.",
               {{"topic", std::string(path.substr(path.rfind('/') + 1))},
                {"status", std::to_string(status)}})
      .add();
}

}  // namespace millrace::analytics
