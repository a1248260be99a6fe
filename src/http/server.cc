#include "http/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <charconv>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/log.h"
#include "http/decompress.h"
#include "http/request_checks.h"
#include "http/target.h"

namespace millrace::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
using Parser = wire::request_parser<wire::string_body>;

// Enough for most headers; what idle connections hold.
constexpr std::size_t first_read_bytes = 4096;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

struct ServerMetrics {
  ServerMetrics(MetricsRegistry& registry, const std::string& listener)
      : connections(registry.gauge("millrace_http_connections", "Open connections.",
                                   {{"listener", listener}})),
        refused(registry.counter("millrace_http_connections_refused_total",
                                 "Connections refused at http.connections_max.",
                                 {{"listener", listener}})) {}
  Gauge& connections;
  Counter& refused;
};

// What all threads share.
struct Shared {
  Shared(ServerOptions chosen, Handler& handler_, MetricsRegistry& registry)
      : options(std::move(chosen)), handler(handler_), metrics(registry, options.name) {}

  const ServerOptions options;
  Handler& handler;
  ServerMetrics metrics;
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> body_bytes{0};
  std::atomic<bool> is_draining{false};

  std::mutex mutex;
  std::condition_variable connection_closed;  // Waited for with `mutex`, about `connections`.
};

// Counts a connection while it lives.
class ConnectionCount {
 public:
  explicit ConnectionCount(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    const std::lock_guard lock(shared_->mutex);
    shared_->metrics.connections.set(static_cast<double>(++shared_->connections));
  }
  ~ConnectionCount() {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->metrics.connections.set(static_cast<double>(--shared_->connections));
    }
    shared_->connection_closed.notify_all();
  }
  ConnectionCount(const ConnectionCount&) = delete;
  ConnectionCount& operator=(const ConnectionCount&) = delete;

 private:
  const std::shared_ptr<Shared> shared_;
};

// A share of the memory for bodies, given back when it goes.
class BodyShare {
 public:
  explicit BodyShare(Shared& shared) : shared_(shared) {}
  ~BodyShare() { shared_.body_bytes -= taken_; }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  // Makes the share this large. False: there is not as much, and the share is as it was. A body
  // larger than all there is gets its share where it is alone.
  bool grow_to(std::size_t size_bytes) {
    if (size_bytes <= taken_) return true;
    const std::size_t more_bytes = size_bytes - taken_;
    const std::size_t others_bytes = shared_.body_bytes.fetch_add(more_bytes) - taken_;
    if (others_bytes == 0 ||
        others_bytes + size_bytes <= shared_.options.bodies_in_flight_bytes_max) {
      taken_ = size_bytes;
      return true;
    }
    shared_.body_bytes -= more_bytes;
    return false;
  }

 private:
  Shared& shared_;
  std::size_t taken_ = 0;
};

// Where a connection waits for its answer. Touched on the connection's thread only.
struct Waiter {
  explicit Waiter(const asio::any_io_executor& executor)
      : timer(executor, asio::steady_timer::time_point::max()) {}
  asio::steady_timer timer;
  std::optional<Response> response;
};

// Brings an answer from any thread to the connection's, if both are still there.
class WaiterTarget final : public Responder::Target {
 public:
  WaiterTarget(std::weak_ptr<asio::io_context> context, std::weak_ptr<Waiter> waiter)
      : context_(std::move(context)), waiter_(std::move(waiter)) {}

  void respond(Response response) override {
    const auto context = context_.lock();
    if (!context) return;
    asio::post(*context, [waiter = waiter_, answer = std::move(response)]() mutable {
      const auto waiting = waiter.lock();
      if (!waiting || waiting->response) return;
      waiting->response = std::move(answer);
      waiting->timer.cancel();
    });
  }

 private:
  const std::weak_ptr<asio::io_context> context_;
  const std::weak_ptr<Waiter> waiter_;
};

struct Connection : std::enable_shared_from_this<Connection> {
  Connection(std::shared_ptr<Shared> shared_, const std::shared_ptr<asio::io_context>& context_,
             tcp::socket socket_)
      : shared(std::move(shared_)),
        context(context_),
        socket(std::move(socket_)),
        deadline(*context_),
        count(shared) {}

  // Ends what is under way on the socket after this long, and leaves it open for an answer.
  void expire_after(std::chrono::milliseconds timeout) {
    is_late = false;
    deadline.expires_after(timeout);
    deadline.async_wait([weak = weak_from_this(), number = ++deadline_number](error_code error) {
      const auto self = weak.lock();
      // A wait that ended just before it was replaced is no longer meant.
      if (error || !self || self->deadline_number != number) return;
      self->is_late = true;
      error_code ignored;
      self->socket.cancel(ignored);
    });
  }
  void expire_never() {
    ++deadline_number;
    deadline.cancel();
  }

  std::shared_ptr<Shared> shared;
  std::weak_ptr<asio::io_context> context;
  tcp::socket socket;
  asio::steady_timer deadline;
  std::uint64_t deadline_number = 0;
  bool is_late = false;
  beast::flat_buffer buffer;
  ConnectionCount count;
  bool is_idle = true;  // Between requests: nobody minds if it is closed.
};
using ConnectionPtr = std::shared_ptr<Connection>;
using Connections = std::unordered_set<Connection*>;

// Lists a connection while it is served, however that ends.
class Listing {
 public:
  Listing(Connections& all, Connection& connection) : all_(all), connection_(connection) {
    all_.insert(&connection_);
  }
  ~Listing() { all_.erase(&connection_); }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;

 private:
  Connections& all_;
  Connection& connection_;
};

// One request as far as it has come.
struct Exchange {
  Exchange(Shared& shared) : share(shared) {}
  Request request;
  BodyShare share;
  std::optional<Response> answer;
  bool keeps_alive = false;
  bool is_head = false;
};

void copy_header(const Parser& parser, const ConnectionPtr& connection, Request& request) {
  const auto& header = parser.get();
  request.method = std::string(header.method_string());
  set_target(request, {header.target().data(), header.target().size()});
  for (const auto& field : header) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  error_code ignored;
  const auto peer = connection->socket.remote_endpoint(ignored);
  if (!ignored) request.peer_address = peer.address().to_string();
}

Response refusal(Shared& shared, int status, std::string message) {
  return shared.handler.failure(
      {.status = status, .message = std::move(message), .limit = {}, .size = {}});
}

// The answer to what could not be read as a request; nullopt: there is nobody to answer.
std::optional<Response> failure_of(const Connection& connection, const error_code& error,
                                   std::string_view content_length) {
  Shared& shared = *connection.shared;
  if (connection.is_late) return refusal(shared, 408, "the request did not arrive in time");
  if (error == wire::error::header_limit || error == wire::error::buffer_overflow) {
    const std::size_t limit = shared.options.header_bytes_max;
    return shared.handler.failure(
        {.status = 431,
         .message = fmt::format("the header has more than {} bytes (http.header_size_max)", limit),
         .limit = limit,
         .size = {}});
  }
  if (error == wire::error::body_limit) {
    const std::size_t limit = shared.options.body_bytes_max;
    Failure failure{
        .status = 413,
        .message = fmt::format("the body has more than {} bytes (http.body_size_max)", limit),
        .limit = limit,
        .size = {}};
    std::size_t size = 0;
    const char* end = content_length.data() + content_length.size();
    if (std::from_chars(content_length.data(), end, size).ec == std::errc()) failure.size = size;
    return shared.handler.failure(failure);
  }
  const bool is_ours = error.category() == make_error_code(wire::error::bad_method).category();
  if (!is_ours || error == wire::error::end_of_stream || error == wire::error::partial_message) {
    return std::nullopt;
  }
  return refusal(shared, 400, fmt::format("the request is not HTTP: {}", error.message()));
}

Response busy(Shared& shared) {
  const std::size_t limit = shared.options.bodies_in_flight_bytes_max;
  Response response = shared.handler.failure(
      {.status = 503,
       .message = fmt::format(
           "request bodies of more than {} bytes are under way (http.bodies_in_flight_size_max)",
           limit),
       .limit = limit,
       .size = {}});
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

void decompress_body(Shared& shared, Exchange& exchange) {
  using Kind = DecompressionFailure::Kind;
  const DecompressionLimits limits{shared.options.body_decompressed_bytes_max,
                                   shared.options.decompression_ratio_max};
  auto body =
      decompress(std::move(exchange.request.body), content_encoding(exchange.request), limits);
  if (body) {
    exchange.request.body = *std::move(body);
    return;
  }
  DecompressionFailure& failure = body.error();
  const bool is_no_memory = failure.kind == Kind::no_memory;
  const int status = failure.kind == Kind::unknown_encoding ? 415
                     : failure.kind == Kind::too_large      ? 413
                     : is_no_memory                         ? 503
                                                            : 400;
  exchange.answer = shared.handler.failure({.status = status,
                                            .message = std::move(failure.message),
                                            .limit = failure.limit,
                                            .size = {}});
  if (is_no_memory) exchange.answer->headers.emplace_back("Retry-After", "1");
}

// The time in the form of RFC 9110, section 5.6.7.
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

asio::awaitable<error_code> write_response(ConnectionPtr connection, const Exchange* exchange,
                                           unsigned version) {
  const Response& response = *exchange->answer;
  wire::response<wire::string_body> message(static_cast<wire::status>(response.status), version);
  message.set(wire::field::server, "millrace");
  message.set(wire::field::date, http_date());
  if (!response.content_type.empty()) message.set(wire::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(exchange->keeps_alive);
  message.body() = response.body;
  message.prepare_payload();
  if (response.status == 204) message.erase(wire::field::content_length);
  connection->expire_after(connection->shared->options.write_timeout);
  if (exchange->is_head) {
    // The length of what GET would have answered, without the body.
    wire::response<wire::empty_body> header(std::move(message.base()));
    const auto [error, size] = co_await wire::async_write(connection->socket, header, as_result);
    static_cast<void>(size);
    co_return error;
  }
  const auto [error, size] = co_await wire::async_write(connection->socket, message, as_result);
  static_cast<void>(size);
  co_return error;
}

// Reads the body into the parser; false: there is no memory for it.
asio::awaitable<bool> receive_body(ConnectionPtr connection, Parser* parser, BodyShare* share,
                                   error_code* error) {
  if (parser->is_done()) co_return true;
  const std::size_t announced_bytes = parser->content_length().value_or(0);
  if (!share->grow_to(announced_bytes)) co_return false;
  connection->expire_after(connection->shared->options.body_timeout);
  const bool is_awaited = beast::iequals(parser->get()[wire::field::expect], "100-continue");
  if (is_awaited && parser->get().version() >= 11) {
    wire::response<wire::empty_body> go_on(wire::status::continue_, 11);
    std::tie(*error, std::ignore) =
        co_await wire::async_write(connection->socket, go_on, as_result);
  }
  parser->eager(true);
  while (!*error && !parser->is_done()) {
    std::tie(*error, std::ignore) =
        co_await wire::async_read_some(connection->socket, connection->buffer, *parser, as_result);
    if (!share->grow_to(parser->get().body().size())) co_return false;
  }
  co_return true;
}

// Reads the body of a request that was admitted. An answer in the exchange means it was refused.
asio::awaitable<error_code> read_body(ConnectionPtr connection, Parser* parser,
                                      Exchange* exchange) {
  Shared& shared = *connection->shared;
  error_code error;
  const bool has_room = co_await receive_body(connection, parser, &exchange->share, &error);
  if (error || !has_room) {
    exchange->answer = has_room ? failure_of(*connection, error, "") : std::optional(busy(shared));
    exchange->keeps_alive = false;
    co_return exchange->answer ? error_code() : error;
  }
  exchange->request.body = std::move(parser->get().body());
  exchange->request.body_bytes_received = exchange->request.body.size();
  decompress_body(shared, *exchange);
  co_return error;
}

// Hands the request over and waits for its answer.
asio::awaitable<void> handle(ConnectionPtr connection, Exchange* exchange) {
  // The context owns this frame while it waits: a share of the context here would keep both.
  const auto waiter = std::make_shared<Waiter>(connection->socket.get_executor());
  Responder responder(std::make_shared<WaiterTarget>(connection->context, waiter));
  connection->expire_never();
  try {
    connection->shared->handler.handle(std::move(exchange->request), std::move(responder));
  } catch (const std::exception& error) {
    // The responder went with the exception, and has answered 500.
    log(LogLevel::error, "http: a request failed", {{"reason", error.what()}});
  }
  while (!waiter->response) {
    const auto [error] = co_await waiter->timer.async_wait(as_result);
    static_cast<void>(error);
  }
  exchange->answer = std::move(waiter->response);
}

// What the header alone tells against a request, once it is known where its body ends.
std::optional<Response> refusal_of_header(Shared& shared, const Request& request) {
  if (auto response = shared.handler.admit(request)) return response;
  const std::string encoding = content_encoding(request);
  if (is_known_encoding(encoding)) return std::nullopt;
  return refusal(shared, 415, decompress("", encoding, {}).error().message);
}

asio::awaitable<error_code> read_request(ConnectionPtr connection, Parser* parser,
                                         Exchange* exchange) {
  Shared& shared = *connection->shared;
  if (connection->buffer.size() == 0) {
    connection->expire_after(shared.options.idle_timeout);
    const auto [error, size] = co_await connection->socket.async_read_some(
        connection->buffer.prepare(first_read_bytes), as_result);
    if (error) co_return error;
    connection->buffer.commit(size);
  }
  connection->is_idle = false;
  connection->expire_after(shared.options.header_timeout);
  auto [error, size] =
      co_await wire::async_read_header(connection->socket, connection->buffer, *parser, as_result);
  // Beast does not count the request line and the ends of lines.
  if (!error && size > shared.options.header_bytes_max) error = wire::error::header_limit;
  if (error) {
    const auto length = parser->get()[wire::field::content_length];
    exchange->answer = failure_of(*connection, error, {length.data(), length.size()});
    co_return exchange->answer ? error_code() : error;
  }
  copy_header(*parser, connection, exchange->request);
  exchange->keeps_alive = parser->keep_alive() && !shared.is_draining;
  exchange->is_head = parser->get().method() == wire::verb::head;
  if (auto problem = framing_problem(exchange->request, parser->get().version() < 11)) {
    exchange->answer = refusal(shared, 400, *std::move(problem));
    exchange->keeps_alive = false;
    co_return error;
  }
  exchange->answer = refusal_of_header(shared, exchange->request);
  if (exchange->answer) {
    // What the client goes on to send would be taken for the next request.
    exchange->keeps_alive = exchange->keeps_alive && parser->is_done();
    co_return error;
  }
  co_return co_await read_body(connection, parser, exchange);
}

asio::awaitable<void> serve_connection(ConnectionPtr connection, Connections* all) {
  Shared& shared = *connection->shared;
  const Listing listing(*all, *connection);
  bool keeps_alive = true;
  // A drain that began while the last response was written found nothing to cancel.
  while (keeps_alive && !shared.is_draining) {
    connection->is_idle = true;
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(shared.options.header_bytes_max));
    parser.body_limit(shared.options.body_bytes_max);
    Exchange exchange(shared);
    const error_code error = co_await read_request(connection, &parser, &exchange);
    if (error) break;
    if (!exchange.answer) co_await handle(connection, &exchange);
    if (!exchange.answer) break;
    keeps_alive = exchange.keeps_alive = exchange.keeps_alive && !shared.is_draining;
    if (co_await write_response(connection, &exchange, parser.get().version())) break;
  }
  connection->is_idle = true;
  error_code ignored;
  connection->socket.shutdown(tcp::socket::shutdown_send, ignored);
  // A client that is still sending would lose our answer to a reset: read what it has, for a while.
  connection->expire_after(std::chrono::milliseconds(500));
  std::array<char, 4096> scrap;
  for (int reads = 0; reads < 256 && !shared.is_draining; ++reads) {
    const auto [error, size] =
        co_await connection->socket.async_read_some(asio::buffer(scrap), as_result);
    if (error || size == 0) break;
  }
}

// One thread with its own listening socket: the kernel spreads connections over them.
class Listener {
 public:
  explicit Listener(std::shared_ptr<Shared> shared)
      : shared_(std::move(shared)),
        context_(std::make_shared<asio::io_context>(1)),
        acceptor_(*context_) {}

  void listen(const tcp::endpoint& endpoint) {
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.set_option(ReusePort(true));
    acceptor_.bind(endpoint);
    acceptor_.listen(asio::socket_base::max_listen_connections);
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void start(const std::string& name) {
    asio::co_spawn(*context_, accept(this), asio::detached);
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), name.c_str());
  }

  void drain() {
    asio::post(*context_, [this] {
      error_code ignored;
      acceptor_.close(ignored);
      for (Connection* connection : connections_) {
        if (connection->is_idle) connection->socket.cancel(ignored);
      }
    });
  }

  void stop() {
    context_->stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  static asio::awaitable<void> accept(Listener* self) {
    while (self->acceptor_.is_open()) {
      auto [error, socket] = co_await self->acceptor_.async_accept(as_result);
      if (error == asio::error::operation_aborted) co_return;
      if (error) {
        // Out of descriptors: wait until connections have closed.
        asio::steady_timer pause(*self->context_, std::chrono::milliseconds(50));
        co_await pause.async_wait(as_result);
        continue;
      }
      if (self->shared_->connections >= self->shared_->options.connections_max) {
        self->refuse(std::move(socket));
        continue;
      }
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      const auto connection =
          std::make_shared<Connection>(self->shared_, self->context_, std::move(socket));
      asio::co_spawn(*self->context_, serve_connection(connection, &self->connections_),
                     asio::detached);
    }
  }

  // Says why in one write that never waits: whoever floods us gets no thread and no memory.
  void refuse(tcp::socket socket) {
    shared_->metrics.refused.add();
    const std::size_t limit = shared_->options.connections_max;
    const Response response = shared_->handler.failure(
        {.status = 503,
         .message = fmt::format("more than {} connections (http.connections_max)", limit),
         .limit = limit,
         .size = {}});
    const std::string text = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
        "Content-Type: {}\r\nContent-Length: {}\r\n\r\n{}",
        response.content_type, response.body.size(), response.body);
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(text), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  void run() {
    while (!context_->stopped()) {
      try {
        context_->run();
      } catch (const std::exception& error) {
        log(LogLevel::error, "http: a connection failed", {{"reason", error.what()}});
      }
    }
  }

  const std::shared_ptr<Shared> shared_;
  Connections connections_;
  const std::shared_ptr<asio::io_context> context_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

// Sockets with SO_REUSEPORT would share a port with another server of the same user, and its
// requests.
void refuse_shared_port(const tcp::endpoint& endpoint) {
  asio::io_context context;
  tcp::acceptor alone(context, endpoint.protocol());
  alone.set_option(asio::socket_base::reuse_address(true));
  alone.bind(endpoint);
}

class ServerImpl final : public Server {
 public:
  ServerImpl(ServerOptions options, Handler& handler, MetricsRegistry& metrics)
      : shared_(std::make_shared<Shared>(std::move(options), handler, metrics)) {}
  ~ServerImpl() override { stop(std::chrono::milliseconds(0)); }

  Result<void> start() {
    const ServerOptions& options = shared_->options;
    try {
      tcp::endpoint endpoint(asio::ip::make_address(options.address), options.port);
      refuse_shared_port(endpoint);
      for (int i = 0; i < options.threads; ++i) {
        listeners_.push_back(std::make_unique<Listener>(shared_));
        listeners_.back()->listen(endpoint);
        endpoint.port(listeners_.back()->port());
      }
      port_ = endpoint.port();
    } catch (const std::exception& error) {
      listeners_.clear();
      return fail(Errc::unavailable, fmt::format("cannot listen on {}:{}: {}", options.address,
                                                 options.port, error.what()));
    }
    int number = 0;
    for (const auto& listener : listeners_) listener->start(fmt::format("http-{}", number++));
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void stop(std::chrono::milliseconds grace) override {
    shared_->is_draining = true;
    for (const auto& listener : listeners_) listener->drain();
    {
      std::unique_lock lock(shared_->mutex);
      shared_->connection_closed.wait_for(lock, grace,
                                          [this] { return shared_->connections == 0; });
    }
    for (const auto& listener : listeners_) listener->stop();
    listeners_.clear();
  }

 private:
  const std::shared_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handler& handler,
                                              MetricsRegistry& metrics) {
  auto server = std::make_unique<ServerImpl>(std::move(options), handler, metrics);
  MR_TRY(server->start());
  return server;
}

}  // namespace millrace::http
