#include "http_client/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <mutex>

#include "base/assert.h"

namespace millrace::http_client {

namespace {

void set_up_curl_once() {
  static std::once_flag once;
  std::call_once(once, [] { MR_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

struct Exchange {
  ClientResponse response;
  std::string_view unsent;  // Of the request's body.
  std::uint64_t response_bytes_max = 0;
  bool is_too_large = false;
};

std::size_t take_body(char* bytes, std::size_t, std::size_t size_bytes, void* user_data) {
  auto& exchange = *static_cast<Exchange*>(user_data);
  std::string& body = exchange.response.body;
  exchange.is_too_large = body.size() + size_bytes > exchange.response_bytes_max;
  if (exchange.is_too_large) return 0;
  body.append(bytes, size_bytes);
  return size_bytes;
}

// There is no way back in a body: libcurl cannot send it again by itself, and so hide from its
// caller that the server may have heard it before.
std::size_t give_body(char* bytes, std::size_t, std::size_t size_bytes, void* user_data) {
  std::string_view& unsent = static_cast<Exchange*>(user_data)->unsent;
  const std::size_t count = std::min(size_bytes, unsent.size());
  std::copy_n(unsent.data(), count, bytes);
  unsent.remove_prefix(count);
  return count;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t size_bytes, void* user_data) {
  Headers& headers = static_cast<Exchange*>(user_data)->response.headers;
  const std::string_view line(bytes, size_bytes);
  // A new status line: what came before was an interim answer such as 100 Continue.
  if (line.starts_with("HTTP/")) headers.clear();
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size_bytes;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front()))) {
    value.remove_prefix(1);
  }
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back()))) {
    value.remove_suffix(1);
  }
  headers.emplace_back(std::move(name), value);
  return size_bytes;
}

}  // namespace

std::string_view ClientResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

struct Client::Impl {
  CURL* curl = nullptr;
  ClientOptions options;

  Result<ClientResponse> perform(const ClientRequest& request) {
    Exchange exchange{
        .response = {}, .unsent = request.body, .response_bytes_max = options.response_bytes_max};
    curl_easy_reset(curl);  // Keeps the connection.
    set_method(request, exchange);
    curl_slist* lines = nullptr;
    for (const auto& [name, value] : request.headers) {
      lines = curl_slist_append(lines, fmt::format("{}: {}", name, value).c_str());
    }
    // Without this a large body would wait a second for a 100 Continue that proxies may swallow.
    // libcurl would sign the line that takes the header away, and not send it.
    if (request.signature == nullptr) lines = curl_slist_append(lines, "Expect:");
    sign(request);
    char reason[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(options.connect_timeout.count()));
    if (options.stall_timeout.count() > 0) {
      curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
      curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                       static_cast<long>(options.stall_timeout.count()));
    }
    if (!options.ca_file.empty()) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
    const CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(lines);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
    if (code != CURLE_OK) {
      const char* text = *reason != '\0' ? reason : curl_easy_strerror(code);
      return failure(code, exchange, request.url, text);
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    exchange.response.status = static_cast<int>(status);
    return std::move(exchange.response);
  }

  void set_method(const ClientRequest& request, Exchange& exchange) {
    if (request.method == "PUT" || request.method == "POST") {
      curl_easy_setopt(curl, CURLOPT_POST, 1L);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
      if (request.body.empty()) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
      } else {
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, &exchange);
      }
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }

  void sign(const ClientRequest& request) {
    if (request.signature == nullptr) return;
    const AwsSignature& signature = *request.signature;
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4,
                     fmt::format("aws:amz:{}:{}", signature.region, signature.service).c_str());
    curl_easy_setopt(curl, CURLOPT_USERNAME, signature.access_key_id.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, signature.secret_access_key.c_str());
  }

  static Result<ClientResponse> failure(CURLcode code, const Exchange& exchange,
                                        const std::string& url, const char* text) {
    switch (code) {
      case CURLE_URL_MALFORMAT:
      case CURLE_UNSUPPORTED_PROTOCOL:
        return fail(Errc::invalid_argument,
                    fmt::format("\"{}\" is not a URL (want e.g. http://127.0.0.1:8080)", url));
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
        return fail(Errc::invalid_argument, fmt::format("{}: {}", url, text));
      default: break;
    }
    if (exchange.is_too_large) {
      return fail(Errc::unavailable, fmt::format("{}: the answer is larger than {} bytes", url,
                                                 exchange.response_bytes_max));
    }
    return fail(Errc::unavailable, fmt::format("{}: {}", url, text));
  }
};

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>()) {
  set_up_curl_once();
  impl_->curl = curl_easy_init();
  impl_->options = std::move(options);
  MR_ASSERT(impl_->curl != nullptr);
}

Client::~Client() { curl_easy_cleanup(impl_->curl); }

Result<ClientResponse> Client::send(const ClientRequest& request) {
  return impl_->perform(request);
}

Result<ClientResponse> Client::get(const std::string& url, const Headers& headers) {
  return send({.method = "GET", .url = url, .headers = headers});
}

Result<ClientResponse> Client::post(const std::string& url, const Headers& headers,
                                    std::string_view body) {
  return send({.method = "POST", .url = url, .headers = headers, .body = body});
}

}  // namespace millrace::http_client
