#pragma once

#include <chrono>
#include <cstdint>
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

// Signs a request as AWS services want it (Signature Version 4, "AWS4-HMAC-SHA256").
struct AwsSignature {
  std::string access_key_id;
  std::string secret_access_key;
  std::string region;
  std::string service;  // "s3"
};

struct ClientRequest {
  std::string method = "GET";
  // Percent-encoded. Where it is signed, with its parameters in the order of their names.
  std::string url;
  // Of a signed request, all of them are signed.
  Headers headers;
  std::string_view body;
  const AwsSignature* signature = nullptr;  // Null: not signed.
};

struct ClientOptions {
  std::chrono::milliseconds timeout{30'000};  // Of one exchange, from the name's lookup on.
  // How long it may stand still, in whole seconds; 0: as long as it may take.
  std::chrono::seconds stall_timeout{0};
  std::chrono::milliseconds connect_timeout{30'000};
  std::uint64_t response_bytes_max = 64U << 20;
  std::string ca_file{};  // Certificates to trust (PEM). Empty: the system's.
};

// Sends HTTP/1.1 requests over one kept-alive connection. One thread at a time.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Waits for the answer, whatever its status. A request with a body is sent once: where its
  // connection is cut without an answer, that is an error, also if it was cut while it was idle.
  // Others may be sent twice then. Errors:
  //   unavailable       no connection, or no whole answer in time; the server may have acted.
  //   invalid_argument  the URL is not one, or the server's certificate is not to be trusted.
  Result<ClientResponse> send(const ClientRequest& request);

  // As send(). Errors: as send().
  Result<ClientResponse> get(const std::string& url, const Headers& headers = {});
  Result<ClientResponse> post(const std::string& url, const Headers& headers,
                              std::string_view body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::http_client
