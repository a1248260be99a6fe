#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/headers.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/stop_check.h"

namespace millrace::http {

// A request, its body whole and decompressed.
struct Request {
  std::string method;                                      // In upper case.
  std::string path;                                        // Percent-decoded, without the query.
  std::vector<std::pair<std::string, std::string>> query;  // Decoded, in order.
  Headers headers;                                         // Names in lower case.
  std::string body;
  std::string peer_address;
  std::size_t body_bytes_received = 0;  // Before decompression.

  // The first header of that (lower-case) name, the first query parameter; nullopt: none.
  std::optional<std::string_view> header(std::string_view name) const;
  std::optional<std::string_view> parameter(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers;
  std::string body;
};

// Answers one request, once, from any thread. Destroyed without being called it answers 500.
// Move-only. May outlive the connection: then the answer goes nowhere.
class Responder {
 public:
  class Target {
   public:
    virtual ~Target() = default;
    virtual void respond(Response response) = 0;
    virtual bool is_client_gone() const { return false; }
  };

  explicit Responder(std::shared_ptr<Target> target) : target_(std::move(target)) {}
  Responder(Responder&&) = default;
  Responder& operator=(Responder&&) = default;
  ~Responder();

  void respond(Response response);

  // Whether the client has closed its side meanwhile, so that nobody waits for the answer: to be
  // asked from any thread, also after the answer. It is noticed about a quarter of a second later.
  StopCheck client_check() const;

 private:
  std::shared_ptr<Target> target_;
};

// What the server itself answers with an error: limits, malformed HTTP, timeouts.
struct Failure {
  int status = 500;
  std::string message;               // For the client; names the option that is the limit.
  std::optional<std::size_t> limit;  // That option's value, where a limit is broken.
  std::optional<std::size_t> size;   // How large it was, where that is known.
};

class Handler {
 public:
  virtual ~Handler() = default;

  // Called on a thread of the server once the header is read, before the body: a response here
  // refuses the request without reading the body (`request.body` is empty; after it the connection
  // is closed where a body was announced). nullopt: go on.
  virtual std::optional<Response> admit(const Request& request) = 0;

  // Called on a thread of the server with the whole request. Must not block: the answer may come
  // later, from any thread. No time limit is set for it here.
  virtual void handle(Request request, Responder responder) = 0;

  // Called on a thread of the server for each failure that it answers itself, so that all errors
  // have one shape and are counted. admit() may or may not have seen the request.
  virtual Response failure(const Failure& failure) = 0;
};

struct ServerOptions {
  std::string name = "api";  // For metrics.
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one, see Server::port().
  // PEM files: TLS where they are given, both of them.
  std::string tls_certificate_file{};
  std::string tls_key_file{};
  int threads = 2;
  std::size_t connections_max = 10'000;           // Further ones get 503 and are closed.
  std::size_t header_bytes_max = 16 * 1024;       // 431 beyond.
  std::size_t body_bytes_max = 10 * 1024 * 1024;  // As received; 413 beyond.
  std::size_t body_decompressed_bytes_max = 32 * 1024 * 1024;  // 413 beyond.
  std::size_t decompression_ratio_max = 200;  // 413 beyond (never up to 1 MiB of output).
  // Bodies as received, of all connections: those with a length count from the header on, chunked
  // ones as they arrive. 503 with Retry-After beyond.
  std::size_t bodies_in_flight_bytes_max = 256 * 1024 * 1024;
  // Browsers' scripts from these origins may read the answers ("*": from all). None: no CORS.
  std::vector<std::string> cors_origins;
  std::chrono::milliseconds header_timeout{10'000};  // From its first byte on; 408 beyond.
  std::chrono::milliseconds body_timeout{30'000};    // For the whole body; 408 beyond.
  std::chrono::milliseconds idle_timeout{75'000};    // Between requests; closed beyond.
  std::chrono::milliseconds write_timeout{30'000};   // For a whole response; closed beyond.
};

// An HTTP/1.1 server (RFC 9110, RFC 9112): keep-alive, pipelining answered in order, `Expect:
// 100-continue`, chunked bodies, gzip and zstd bodies. Each of its threads has a listening socket
// of its own (SO_REUSEPORT) and the connections that the kernel gave it: nothing is shared between
// threads on the way of a request but a few counters.
class Server {
 public:
  // Listens and serves. `handler` and `metrics` must outlive the server.
  // Errors: unavailable (cannot listen; the message names the address and the reason),
  // invalid_argument (a certificate or key that is none).
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Handler& handler,
                                               MetricsRegistry& metrics);

  virtual ~Server() = default;

  // Reads certificate and key anew, for the connections that come. Errors: invalid_argument; then
  // the old ones stay. From any thread.
  virtual Result<void> reload_tls() = 0;

  // The port that it listens on.
  virtual std::uint16_t port() const = 0;

  // Stops accepting, lets requests under way finish for up to `grace`, closes the rest and joins
  // the threads. Repeating is safe.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace millrace::http
