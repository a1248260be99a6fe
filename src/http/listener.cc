#include "http/listener.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/log.h"
#include "http/refusals.h"

namespace millrace::http {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

}  // namespace

Listener::Listener(std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)),
      context_(std::make_shared<asio::io_context>(1)),
      acceptor_(*context_) {}

void Listener::listen(const tcp::endpoint& endpoint) {
  acceptor_.open(endpoint.protocol());
  acceptor_.set_option(asio::socket_base::reuse_address(true));
  acceptor_.set_option(ReusePort(true));
  acceptor_.bind(endpoint);
  acceptor_.listen(asio::socket_base::max_listen_connections);
}

std::uint16_t Listener::port() const { return acceptor_.local_endpoint().port(); }

void Listener::start(const std::string& name) {
  asio::co_spawn(*context_, accept(this), asio::detached);
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

void Listener::drain() {
  asio::post(*context_, [this] {
    error_code ignored;
    acceptor_.close(ignored);
    for (Connection* connection : connections_) {
      if (connection->is_idle) connection->stream.socket().cancel(ignored);
    }
  });
}

void Listener::stop() {
  context_->stop();
  if (thread_.joinable()) thread_.join();
}

asio::awaitable<void> Listener::accept(Listener* self) {
  while (self->acceptor_.is_open()) {
    auto [error, socket] = co_await self->acceptor_.async_accept(as_result);
    if (error == asio::error::operation_aborted) co_return;
    if (error) {
      self->log_accept_failure(error);
      // Out of descriptors: wait until connections have closed.
      asio::steady_timer pause(*self->context_, std::chrono::milliseconds(50));
      co_await pause.async_wait(as_result);
      continue;
    }
    if (self->shared_->connections >= self->shared_->options.connections_max) {
      asio::co_spawn(*self->context_, refuse(self, std::move(socket)), asio::detached);
      continue;
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto connection =
        std::make_shared<Connection>(self->shared_, self->context_, std::move(socket));
    // Its coroutine runs later: until then watch_deadlines() must not find that there is nobody.
    self->connections_.insert(connection.get());
    asio::co_spawn(*self->context_, serve_connection(connection, &self->connections_),
                   asio::detached);
    if (!std::exchange(self->is_watching_, true)) {
      asio::co_spawn(*self->context_, watch_deadlines(self), asio::detached);
    }
  }
}

// Runs while there are connections: a server that nobody uses sleeps.
asio::awaitable<void> Listener::watch_deadlines(Listener* self) {
  asio::steady_timer pause(*self->context_);
  do {
    pause.expires_after(deadline_interval);
    co_await pause.async_wait(as_result);
    const auto now = std::chrono::steady_clock::now();
    for (Connection* connection : self->connections_) {
      connection->end_if_late(now);
      connection->release_if_idle();
      connection->look_for_client();
    }
  } while (!self->connections_.empty());
  self->is_watching_ = false;
}

// At most once a minute.
void Listener::log_accept_failure(const error_code& error) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_accept_log_) return;
  next_accept_log_ = now + std::chrono::minutes(1);
  log(LogLevel::warn, "http: no connection can be accepted", {{"reason", error.message()}});
}

// Says why in one write that never waits, then reads the client's request for a moment: it would
// lose the answer to a reset. Whoever floods us is not even waited for.
asio::awaitable<void> Listener::refuse(Listener* self, tcp::socket socket) {
  constexpr int refused_waiting_max = 100;
  self->shared_->metrics.refused.add();
  if (self->shared_->tls()) co_return;  // To say why would take a handshake.
  const Response response = too_many_connections(*self->shared_);
  const std::string text = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
      "Content-Type: {}\r\nContent-Length: {}\r\n\r\n{}",
      response.content_type, response.body.size(), response.body);
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(text), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  if (self->refused_waiting_ >= refused_waiting_max) co_return;
  ++self->refused_waiting_;
  asio::steady_timer pause(*self->context_, std::chrono::milliseconds(200));
  co_await pause.async_wait(as_result);
  std::array<char, 4096> scrap;
  for (int reads = 0; reads < 16 && socket.read_some(asio::buffer(scrap), ignored) > 0; ++reads) {
  }
  --self->refused_waiting_;
}

void Listener::run() {
  while (!context_->stopped()) {
    try {
      context_->run();
    } catch (const std::exception& error) {
      log(LogLevel::error, "http: a connection failed", {{"reason", error.what()}});
    }
  }
}

}  // namespace millrace::http
