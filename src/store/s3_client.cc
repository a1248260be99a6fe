#include "store/s3_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
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

bool is_one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

bool is_about_credentials(std::string_view code) {
  return is_one_of(code, {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
                          "InvalidToken", "InvalidAccessKeyId"});
}

// What may be over when it is tried again.
bool is_passing(int status, std::string_view code) {
  // 409: a conditional request met another one that was under way.
  return status == 408 || status == 409 || status == 429 || status >= 500 ||
         is_one_of(code,
                   {"RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch",
                    "SlowDown", "Throttling", "ThrottlingException", "KMS.ThrottlingException"});
}

// Whether an answer of success is the service's own. A gateway has one for everything too.
bool is_authentic(const S3Request& request, const ClientResponse& response) {
  if (!request.answer_header.empty()) return !response.header(request.answer_header).empty();
  if (!request.answer_element.empty()) {
    return is_s3_document(response.body, request.answer_element);
  }
  return response.body.empty();
}

// What the service means by an error, in the words of who can do something about it; empty: nothing
// better than its own.
std::string advice(const S3Request& request, const ClientResponse& response,
                   const S3ErrorBody& body, const S3Options& options, const std::string& bucket) {
  const std::string_view code = body.code;
  if (code == "NoSuchBucket") return fmt::format("the bucket {} does not exist", bucket);
  std::string region = body.region;
  if (region.empty()) region = response.header("x-amz-bucket-region");
  if (!region.empty() && region != options.region && response.status >= 300 &&
      response.status <= 400) {
    return fmt::format("the bucket {} is not in region {}: set s3.region to {}", bucket,
                       options.region, region);
  }
  if (response.status >= 300 && response.status < 400) {
    return fmt::format("it sends elsewhere, to \"{}\": set s3.endpoint to where the service is",
                       response.header("location"));
  }
  if (code == "RequestTimeTooSkewed") {
    return fmt::format(
        "this machine's clock and the store's differ too much: the store's says {}; "
        "set this machine's",
        response.header("date"));
  }
  if (is_about_credentials(code)) return "the S3 credentials have expired or are unknown";
  if (code == "SignatureDoesNotMatch") {
    return "the secret key does not belong to the access key, or a proxy changes requests";
  }
  if (response.status == 403) {
    return fmt::format("access is denied: the credentials need {}", request.permission);
  }
  return "";
}

}  // namespace

Result<std::unique_ptr<S3Client>> S3Client::create(S3Options options, std::string bucket,
                                                   MetricsRegistry& metrics) {
  if (options.region.empty()) options.region = region_of_environment();
  MR_TRY(check_s3_endpoint(options.endpoint));
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
    if (!now.may_help_to_repeat || !request.is_repeated || is_hurried_ ||
        SteadyClock::now() + wait > give_up_at) {
      // What an earlier attempt has done is not known, whatever became of this one.
      if (error.code == Errc::exhausted && !is_outcome_known) error.code = Errc::unavailable;
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
    // A certificate that is not to be trusted, say, will not be so in a moment.
    const bool may_help = response.error().code == Errc::unavailable;
    return {fail(Errc::unavailable, fmt::format("s3://{}/{}: {}: {}", bucket_, request.key,
                                                operation, response.error().message)),
            may_help, !may_help};
  }
  give_back(std::move(connection));
  metrics_.counter("millrace_store_received_bytes_total", "Bodies received from S3, in bytes.")
      .add(static_cast<double>(response->body.size()));
  return judge(request, *std::move(response));
}

S3Client::Attempt S3Client::judge(const S3Request& request, ClientResponse response) {
  const bool is_success = response.status >= 200 && response.status < 300;
  if (!is_success) return judge_failure(request, response);
  if (is_authentic(request, response)) return {std::move(response)};
  // CompleteMultipartUpload says 200 first, and how it went in the body (API reference).
  return {fail(Errc::unavailable,
               fmt::format("s3://{}/{}: {} was answered with HTTP {}, and not as S3 does: {}",
                           bucket_, request.key, request.operation, response.status,
                           response.body.substr(0, 200))),
          true, false};
}

S3Client::Attempt S3Client::judge_failure(const S3Request& request,
                                          const ClientResponse& response) {
  const S3ErrorBody body = parse_s3_error(response.body);
  const int status = response.status;
  const bool is_of_service = !body.code.empty();
  const std::string better = advice(request, response, body, options_, bucket_);
  const std::string what = fmt::format("s3://{}/{}: {} was answered with HTTP {} {}{}{}", bucket_,
                                       request.key, request.operation, status, body.code,
                                       body.message.empty() ? "" : ": ", body.message);
  Error error{Errc::unavailable, better.empty() ? what : fmt::format("{} ({})", better, what)};
  if (is_one_of(body.code, {"NoSuchKey", "NoSuchUpload"})) error.code = Errc::not_found;
  if (status == 412) error.code = Errc::already_exists;
  if (is_of_service && (status == 507 || body.code == "QuotaExceeded")) {
    error.code = Errc::exhausted;
  }
  // The service refuses before it does anything. Of others nobody knows what they have done.
  const bool has_refused = is_of_service && ((status >= 400 && status < 500) || status == 507 ||
                                             body.code == "SlowDown");
  if (is_about_credentials(body.code)) {
    const auto before = credentials_->current();
    credentials_->renew();
    const auto after = credentials_->current();
    return {tl::unexpected(std::move(error)), before && after && !(*before == *after), true};
  }
  const bool may_help = error.code != Errc::exhausted && error.code != Errc::already_exists &&
                        (is_passing(status, body.code) || (!is_of_service && status >= 400));
  return {tl::unexpected(std::move(error)), may_help, has_refused};
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
    if (is_hurried_) idle_.clear();  // Their timeouts are the patient ones.
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  constexpr int slow_factor = 10;
  constexpr milliseconds hurried_timeout(2'000);
  const milliseconds timeout =
      is_hurried_ ? std::min(options_.request_timeout, hurried_timeout) : options_.request_timeout;
  return std::make_unique<Client>(
      http_client::ClientOptions{.timeout = slow_factor * timeout,
                                 .stall_timeout = std::chrono::ceil<std::chrono::seconds>(timeout),
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
