#include "store/s3_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/log.h"
#include "base/sha256.h"
#include "store/s3_answers.h"

namespace millrace::store {

namespace {

using http_client::ClientResponse;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds pause_first(50);
constexpr milliseconds pause_max(5'000);
constexpr std::uint64_t response_bytes_max = 2ULL << 30;

// RFC 3986's unreserved characters stand for themselves in what is signed; in keys a slash too.
std::string encoded(std::string_view text, bool keeps_slashes) {
  std::string result;
  for (const char c : text) {
    const bool is_plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
                          (c == '/' && keeps_slashes);
    if (is_plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

std::string region_of_environment() {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "us-east-1";
}

// Where the bucket's objects are, without a slash at the end.
std::string base_url(const S3Options& options, const std::string& bucket) {
  std::string scheme = "https";
  std::string host;
  if (options.endpoint.empty()) {
    const bool is_china = options.region.starts_with("cn-");
    host = fmt::format("s3.{}.amazonaws.com{}", options.region, is_china ? ".cn" : "");
  } else {
    const auto mark = options.endpoint.find("://");
    scheme = options.endpoint.substr(0, mark);
    host = options.endpoint.substr(mark + 3);
    while (host.ends_with('/')) host.pop_back();
  }
  if (options.uses_path_style) return fmt::format("{}://{}/{}", scheme, host, bucket);
  return fmt::format("{}://{}.{}", scheme, bucket, host);
}

milliseconds random_part_of(milliseconds pause) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return milliseconds(std::uniform_int_distribution<milliseconds::rep>(0, pause.count())(random));
}

bool is_about_credentials(std::string_view code) {
  return code == "ExpiredToken" || code == "ExpiredTokenException" ||
         code == "TokenRefreshRequired" || code == "InvalidToken" || code == "InvalidAccessKeyId";
}

bool is_success(int status) { return status >= 200 && status < 300; }

// CompleteMultipartUpload says 200 first, and how it went in the body (API reference).
bool has_error_body(const S3Request& request, const ClientResponse& response) {
  return request.operation == "CompleteMultipartUpload" &&
         !parse_s3_error(response.body).code.empty();
}

}  // namespace

Result<std::unique_ptr<S3Client>> S3Client::create(S3Options options, std::string bucket,
                                                   MetricsRegistry& metrics) {
  if (options.region.empty()) options.region = region_of_environment();
  const bool is_url = options.endpoint.empty() || options.endpoint.starts_with("http://") ||
                      options.endpoint.starts_with("https://");
  if (!is_url) {
    return fail(Errc::invalid_argument,
                fmt::format("s3.endpoint: \"{}\" is not a URL (want e.g. http://127.0.0.1:9000)",
                            options.endpoint));
  }
  return std::unique_ptr<S3Client>(new S3Client(std::move(options), std::move(bucket), metrics));
}

S3Client::S3Client(S3Options options, std::string bucket, MetricsRegistry& metrics)
    : options_(std::move(options)),
      bucket_(std::move(bucket)),
      base_url_(base_url(options_, bucket_)),
      metrics_(metrics),
      credentials_(make_s3_credentials(options_)) {}

Result<ClientResponse> S3Client::send(const S3Request& request) {
  const auto give_up_at = SteadyClock::now() + options_.retry_timeout;
  milliseconds pause = pause_first;
  bool is_outcome_known = true;
  while (true) {
    Attempt now = attempt(request);
    is_outcome_known = is_outcome_known && now.has_surely_done_nothing;
    if (now.response) return std::move(now.response);
    Error& error = now.response.error();
    const milliseconds wait = random_part_of(pause);
    if (!now.may_help_to_repeat || !request.is_repeated || SteadyClock::now() + wait > give_up_at) {
      // What an earlier attempt has done is not known, whatever became of this one.
      const bool claims_nothing =
          error.code == Errc::invalid_argument || error.code == Errc::exhausted;
      if (claims_nothing && !is_outcome_known) error.code = Errc::unavailable;
      return std::move(now.response);
    }
    metrics_
        .counter("millrace_store_retries_total", "Requests to S3 that were sent again.",
                 {{"operation", std::string(request.operation)}})
        .add();
    log(LogLevel::debug, "s3: trying again", {{"reason", error.message}});
    std::this_thread::sleep_for(wait);
    pause = std::min(pause * 2, pause_max);
  }
}

S3Client::Attempt S3Client::attempt(const S3Request& request) {
  auto keys = credentials_->current();
  if (!keys) return {tl::unexpected(keys.error()), false, true};
  const http_client::AwsSignature signature{keys->access_key_id, keys->secret_access_key,
                                            options_.region, "s3"};
  Headers headers = request.headers;
  headers.emplace_back("x-amz-content-sha256", sha256_hex(request.body));
  if (!keys->session_token.empty()) {
    headers.emplace_back("x-amz-security-token", keys->session_token);
  }
  const std::string url = url_of(request);
  auto connection = take_connection();
  const auto start = SteadyClock::now();
  auto response = connection->send({.method = std::string(request.method),
                                    .url = url,
                                    .headers = std::move(headers),
                                    .body = request.body,
                                    .signature = &signature});
  const std::chrono::duration<double> took = SteadyClock::now() - start;
  const std::string operation(request.operation);
  metrics_
      .histogram("millrace_store_request_duration_seconds", "How long requests to S3 took.",
                 duration_seconds_buckets(), {{"operation", operation}})
      .observe(took.count());
  metrics_
      .counter("millrace_store_requests_total", "Requests to S3, by operation and HTTP status.",
               {{"operation", operation},
                {"status", response ? std::to_string(response->status) : "none"}})
      .add();
  metrics_.counter("millrace_store_sent_bytes_total", "Bodies sent to S3, in bytes.")
      .add(static_cast<double>(request.body.size()));
  if (!response) {
    const bool may_help = response.error().code == Errc::unavailable;
    return {fail(response.error().code, fmt::format("s3://{}/{}: {}: {}", bucket_, request.key,
                                                    operation, response.error().message)),
            may_help, !may_help};
  }
  give_back(std::move(connection));
  metrics_.counter("millrace_store_received_bytes_total", "Bodies received from S3, in bytes.")
      .add(static_cast<double>(response->body.size()));
  return judge(request, *std::move(response));
}

S3Client::Attempt S3Client::judge(const S3Request& request, ClientResponse response) {
  const int status = response.status;
  if (is_success(status) && !has_error_body(request, response)) return {std::move(response)};
  Error error = explain(request, response);
  if (is_about_credentials(parse_s3_error(response.body).code)) {
    const auto before = credentials_->current();
    credentials_->renew();
    const auto after = credentials_->current();
    return {tl::unexpected(std::move(error)), before && after && !(*before == *after), true};
  }
  // 409: a conditional request met another one that was under way.
  const bool is_passing = status == 408 || status == 409 || status == 429 || status == 500 ||
                          status == 502 || status == 503 || status == 504 || (is_success(status));
  const bool is_timeout =
      status == 400 && error.message.find("RequestTimeout") != std::string::npos;
  const bool is_unknown = is_passing && status != 409 && status != 429;
  return {tl::unexpected(std::move(error)), is_passing || is_timeout, !is_unknown};
}

Error S3Client::explain(const S3Request& request, const ClientResponse& response) const {
  const S3ErrorBody body = parse_s3_error(response.body);
  const std::string what = fmt::format("s3://{}/{}: {} was answered with HTTP {} {}{}{}", bucket_,
                                       request.key, request.operation, response.status, body.code,
                                       body.message.empty() ? "" : ": ", body.message);
  const std::string_view code = body.code;
  if (code == "NoSuchBucket") {
    return {Errc::invalid_argument,
            fmt::format("the bucket {} does not exist ({})", bucket_, what)};
  }
  if (response.status == 301 || code == "AuthorizationHeaderMalformed" ||
      code == "IllegalLocationConstraintException") {
    std::string region = body.region;
    if (region.empty()) region = response.header("x-amz-bucket-region");
    return {Errc::invalid_argument,
            fmt::format("the bucket {} is not in region {}{} ({})", bucket_, options_.region,
                        region.empty() ? "" : fmt::format(": set s3.region to {}", region), what)};
  }
  if (code == "RequestTimeTooSkewed") {
    return {
        Errc::unavailable,
        fmt::format("this machine's clock and the store's differ too much: the store's says {}; "
                    "set this machine's ({})",
                    response.header("date"), what)};
  }
  if (is_about_credentials(code)) {
    return {Errc::unavailable,
            fmt::format("the S3 credentials have expired or are unknown ({})", what)};
  }
  if (code == "SignatureDoesNotMatch") {
    return {Errc::unavailable,
            fmt::format("the secret key does not belong to the access key, or a proxy changes "
                        "requests ({})",
                        what)};
  }
  switch (response.status) {
    case 403:
      return {Errc::unavailable, fmt::format("access is denied: the credentials need {} ({})",
                                             request.permission, what)};
    case 404: return {Errc::not_found, what};
    case 412: return {Errc::already_exists, what};
    case 507: return {Errc::exhausted, what};
    case 400:
    case 405:
    case 411:
    case 501: return {Errc::invalid_argument, what};
    default: return {Errc::unavailable, what};
  }
}

std::string S3Client::url_of(const S3Request& request) const {
  std::string url = fmt::format("{}/{}", base_url_, encoded(request.key, true));
  char separator = '?';
  for (const auto& [name, value] : request.parameters) {
    url += fmt::format("{}{}={}", separator, encoded(name, false), encoded(value, false));
    separator = '&';
  }
  return url;
}

std::unique_ptr<http_client::Client> S3Client::take_connection() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return std::make_unique<Client>(
      http_client::ClientOptions{.timeout = options_.request_timeout,
                                 .connect_timeout = options_.connect_timeout,
                                 .response_bytes_max = response_bytes_max,
                                 .ca_file = options_.ca_file});
}

void S3Client::give_back(std::unique_ptr<Client> connection) {
  constexpr std::size_t idle_max = 16;
  const std::lock_guard lock(mutex_);
  if (idle_.size() < idle_max) idle_.push_back(std::move(connection));
}

}  // namespace millrace::store
