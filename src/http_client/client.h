#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/headers.h"
#include "base/result.h"

namespace millrace::http_client {

struct ClientResponse {
  int status = 0;
  Headers headers;  // Names in lower case.
  std::string body;

  // The value of the first header of that (lower-case) name; empty: none.
  std::string_view header(std::string_view name) const;
};

// Sends HTTP/1.1 requests over one kept-alive connection. One thread at a time.
class Client {
 public:
  explicit Client(std::chrono::milliseconds timeout);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Waits for the answer, whatever its status. Errors:
  //   unavailable       no connection, or no answer in time; the server may have acted.
  //   invalid_argument  `url` is not one.
  Result<ClientResponse> get(const std::string& url, const Headers& headers = {});
  Result<ClientResponse> post(const std::string& url, const Headers& headers,
                              std::string_view body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::http_client
