#include "http_client/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <mutex>

#include "base/assert.h"

namespace millrace::http_client {

namespace {

constexpr std::size_t response_size_bytes_max = 64 * 1024 * 1024;

void set_up_curl_once() {
  static std::once_flag once;
  std::call_once(once, [] { MR_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

std::size_t take_body(char* bytes, std::size_t, std::size_t size_bytes, void* response) {
  std::string& body = static_cast<ClientResponse*>(response)->body;
  if (body.size() + size_bytes > response_size_bytes_max) return 0;
  body.append(bytes, size_bytes);
  return size_bytes;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t size_bytes, void* response) {
  Headers& headers = static_cast<ClientResponse*>(response)->headers;
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
  std::chrono::milliseconds timeout;

  Result<ClientResponse> perform(const std::string& url, const Headers& headers) {
    ClientResponse response;
    curl_slist* lines = nullptr;
    for (const auto& [name, value] : headers) {
      lines = curl_slist_append(lines, fmt::format("{}: {}", name, value).c_str());
    }
    // Without this a large body would wait a second for a 100 Continue that proxies may swallow.
    lines = curl_slist_append(lines, "Expect:");
    char reason[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
    const CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(lines);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
      return fail(Errc::invalid_argument,
                  fmt::format("\"{}\" is not a URL (want e.g. http://127.0.0.1:8080)", url));
    }
    if (code != CURLE_OK) {
      return fail(Errc::unavailable,
                  fmt::format("{}: {}", url, *reason ? reason : curl_easy_strerror(code)));
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
    return response;
  }
};

Client::Client(std::chrono::milliseconds timeout) : impl_(std::make_unique<Impl>()) {
  set_up_curl_once();
  impl_->curl = curl_easy_init();
  impl_->timeout = timeout;
  MR_ASSERT(impl_->curl != nullptr);
}

Client::~Client() { curl_easy_cleanup(impl_->curl); }

Result<ClientResponse> Client::get(const std::string& url, const Headers& headers) {
  curl_easy_setopt(impl_->curl, CURLOPT_HTTPGET, 1L);
  return impl_->perform(url, headers);
}

Result<ClientResponse> Client::post(const std::string& url, const Headers& headers,
                                    std::string_view body) {
  curl_easy_setopt(impl_->curl, CURLOPT_POST, 1L);
  curl_easy_setopt(impl_->curl, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(impl_->curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  return impl_->perform(url, headers);
}

}  // namespace millrace::http_client
