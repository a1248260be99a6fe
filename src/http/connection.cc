#include "http/connection.h"

#include <poll.h>

#include <algorithm>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <tuple>

#include "base/log.h"
#include "http/cross_origin.h"
#include "http/decompress.h"
#include "http/refusals.h"
#include "http/request_checks.h"
#include "http/response_text.h"
#include "http/target.h"

namespace millrace::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Parser = wire::request_parser<wire::string_body>;
using ConnectionPtr = std::shared_ptr<Connection>;

// Enough for most headers.
constexpr std::size_t first_read_bytes = 4096;

// What readers of JSON want to have behind a text; without that room they would copy it.
constexpr std::size_t body_padding_bytes = 64;

// What a connection keeps of an answer's memory.
constexpr std::size_t kept_text_bytes_max = 1024;

// How long a client that was too slow may go on.
constexpr std::chrono::milliseconds slow_linger_time{500};

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

// Brings answers from any thread to the connection's, if both are still there. One request of a
// connection is under way at a time, and each is answered once.
class AnswerTarget final : public Responder::Target {
 public:
  explicit AnswerTarget(const ConnectionPtr& connection)
      : context_(connection->context),
        connection_(connection),
        is_client_gone_(connection->is_client_gone) {}

  void respond(Response response) override {
    const auto context = context_.lock();
    if (!context) return;
    asio::post(*context, [waiting = connection_, answer = std::move(response)]() mutable {
      const auto connection = waiting.lock();
      if (!connection) return;
      connection->answer = std::move(answer);
      connection->answered.cancel();
    });
  }

  bool is_client_gone() const override { return *is_client_gone_; }

 private:
  // The context owns the coroutine that owns the connection: a share of either would keep both.
  const std::weak_ptr<asio::io_context> context_;
  const std::weak_ptr<Connection> connection_;
  const std::shared_ptr<const std::atomic<bool>> is_client_gone_;
};

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
  Headers cross_origin;  // What the answer says besides.
  bool keeps_alive = false;
  bool is_head = false;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

void copy_header(const Parser& parser, const ConnectionPtr& connection, Request& request) {
  const auto& header = parser.get();
  request.method = std::string(header.method_string());
  set_target(request, {header.target().data(), header.target().size()});
  for (const auto& field : header) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(), lower);
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request.peer_address = connection->peer_address;
}

// What the client announced as the length of its body.
std::optional<std::size_t> announced_size(const Parser& parser) {
  const auto text = parser.get()[wire::field::content_length];
  std::size_t size = 0;
  const bool is_number =
      std::from_chars(text.data(), text.data() + text.size(), size).ec == std::errc();
  return is_number ? std::optional(size) : std::nullopt;
}

// The answer to what could not be read as a request; nullopt: there is nobody to answer.
std::optional<Response> failure_of(const Connection& connection, const error_code& error,
                                   const Parser& parser) {
  Shared& shared = *connection.shared;
  if (connection.is_late) return refusal(shared, 408, "the request did not arrive in time");
  if (error == wire::error::buffer_overflow && parser.is_header_done()) {
    return refusal(shared, 400, "a chunk's extensions, or the trailers, are too long");
  }
  if (error == wire::error::header_limit || error == wire::error::buffer_overflow) {
    return header_too_large(shared);
  }
  if (error == wire::error::body_limit) return body_too_large(shared, announced_size(parser));
  const bool is_ours = error.category() == make_error_code(wire::error::bad_method).category();
  if (!is_ours || error == wire::error::end_of_stream || error == wire::error::partial_message) {
    return std::nullopt;
  }
  return refusal(shared, 400, "the request is not HTTP: " + error.message());
}

asio::awaitable<error_code> write_response(ConnectionPtr connection, const Exchange* exchange,
                                           unsigned version) {
  connection->written.clear();
  append_response(connection->written, *exchange->answer, exchange->cross_origin,
                  {.is_head = exchange->is_head,
                   .keeps_alive = exchange->keeps_alive,
                   .is_version_1_0 = version < 11});
  connection->expire_after(connection->shared->options.write_timeout);
  const auto [error, size] =
      co_await asio::async_write(connection->stream, asio::buffer(connection->written), as_result);
  static_cast<void>(size);
  if (connection->written.capacity() > kept_text_bytes_max) connection->written = {};
  co_return error;
}

void decompress_body(Shared& shared, Exchange& exchange) {
  const DecompressionLimits limits{shared.options.body_decompressed_bytes_max,
                                   shared.options.decompression_ratio_max};
  auto body =
      decompress(std::move(exchange.request.body), content_encoding(exchange.request), limits);
  if (body) {
    exchange.request.body = *std::move(body);
  } else {
    exchange.answer = not_decompressed(shared, std::move(body).error());
  }
}

// Reads and parses what comes next: its size, or why not.
asio::awaitable<std::tuple<error_code, std::size_t>> read_some(ConnectionPtr connection,
                                                               Parser* parser) {
  auto result =
      co_await wire::async_read_some(connection->stream, connection->buffer, *parser, as_result);
  if (connection->is_late) std::get<0>(result) = asio::error::operation_aborted;
  co_return result;
}

// Reads the body into the parser; false: there is no memory for it.
asio::awaitable<bool> receive_body(ConnectionPtr connection, Parser* parser, BodyShare* share,
                                   error_code* error) {
  if (parser->is_done()) co_return true;
  const std::size_t announced_bytes = parser->content_length().value_or(0);
  if (!share->grow_to(announced_bytes)) co_return false;
  parser->get().body().reserve(announced_bytes + body_padding_bytes);
  connection->expire_after(connection->shared->options.body_timeout);
  const bool is_awaited = beast::iequals(parser->get()[wire::field::expect], "100-continue");
  if (is_awaited && parser->get().version() >= 11) {
    wire::response<wire::empty_body> go_on(wire::status::continue_, 11);
    std::tie(*error, std::ignore) =
        co_await wire::async_write(connection->stream, go_on, as_result);
  }
  parser->eager(true);
  while (!*error && !parser->is_done()) {
    *error = std::get<0>(co_await read_some(connection, parser));
    // Of a chunked body the framing counts too: that of other bodies may be the next request.
    const std::size_t buffered_bytes = connection->buffer.size();
    const bool is_framing = parser->chunked() && buffered_bytes > first_read_bytes;
    const std::size_t framing_bytes = is_framing ? buffered_bytes : 0;
    if (!share->grow_to(parser->get().body().size() + framing_bytes)) co_return false;
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
    exchange->answer =
        has_room ? failure_of(*connection, error, *parser) : std::optional(too_many_bodies(shared));
    exchange->keeps_alive = false;
    co_return exchange->answer ? error_code() : error;
  }
  exchange->request.body = std::move(parser->get().body());
  exchange->request.body_bytes_received = exchange->request.body.size();
  decompress_body(shared, *exchange);
  co_return error;
}

// Hands the request over and waits for its answer.
asio::awaitable<void> handle(ConnectionPtr connection, Exchange* exchange,
                             const std::shared_ptr<Responder::Target>* answers) {
  Responder responder(*answers);
  connection->answer.reset();
  connection->expire_never();
  connection->intervals_awaited = 0;
  try {
    connection->shared->handler.handle(std::move(exchange->request), std::move(responder));
  } catch (const std::exception& error) {
    // The responder went with the exception, and has answered 500.
    log(LogLevel::error, "http: a request failed", {{"reason", error.what()}});
  }
  while (!connection->answer) {
    const auto [error] = co_await connection->answered.async_wait(as_result);
    static_cast<void>(error);
  }
  connection->intervals_awaited.reset();
  exchange->answer = std::move(connection->answer);
}

// What the header alone tells against a request, once it is known where its body ends.
std::optional<Response> refusal_of_header(Shared& shared, const Request& request) {
  if (auto response = shared.handler.admit(request)) return response;
  const std::string encoding = content_encoding(request);
  if (is_known_encoding(encoding)) return std::nullopt;
  return not_decompressed(shared, decompress("", encoding, {}).error());
}

// Waits for the first byte of a request, without a buffer for it.
asio::awaitable<error_code> wait_for_request(ConnectionPtr connection) {
  connection->can_do_without_buffer = true;
  const auto [error] =
      co_await connection->stream.socket().async_wait(tcp::socket::wait_read, as_result);
  connection->can_do_without_buffer = false;
  co_return error;
}

asio::awaitable<error_code> read_request(ConnectionPtr connection, Parser* parser,
                                         Exchange* exchange) {
  Shared& shared = *connection->shared;
  if (connection->buffer.size() == 0) {
    connection->expire_after(shared.options.idle_timeout);
    // What a TLS stream has read ahead would not wake it.
    if (connection->stream.tls() == nullptr) {
      if (const error_code error = co_await wait_for_request(connection)) co_return error;
    }
    const auto [error, size] = co_await connection->stream.async_read_some(
        connection->buffer.prepare(first_read_bytes), as_result);
    if (error) co_return error;
    connection->buffer.commit(size);
  }
  connection->is_idle = false;
  connection->expire_after(shared.options.header_timeout);
  error_code error;
  std::size_t size = 0;
  while (!error && !parser->is_header_done()) {
    const auto [failure, some] = co_await read_some(connection, parser);
    error = failure;
    size += some;
  }
  // Beast does not count the request line and the ends of lines.
  if (!error && size > shared.options.header_bytes_max) error = wire::error::header_limit;
  if (error) {
    exchange->answer = failure_of(*connection, error, *parser);
    co_return exchange->answer ? error_code() : error;
  }
  copy_header(*parser, connection, exchange->request);
  exchange->cross_origin = cross_origin_headers(exchange->request, shared.options.cors_origins);
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

// False: there is no TLS with this client.
asio::awaitable<bool> shake_hands(ConnectionPtr connection) {
  auto* const tls = connection->stream.tls();
  if (tls == nullptr) co_return true;
  connection->expire_after(connection->shared->options.header_timeout);
  const auto [error] = co_await tls->async_handshake(asio::ssl::stream_base::server, as_result);
  connection->expire_never();
  co_return !error;
}

// A client that is still sending would lose our answer to a reset: ends our side, and reads what
// the client sends until it closes or pauses, for at most so long.
asio::awaitable<void> linger(ConnectionPtr connection, std::chrono::milliseconds time_max) {
  constexpr std::chrono::milliseconds pause_max{1000};
  // Nobody looks at what is in it.
  static thread_local std::array<char, 64 * 1024> scrap;
  error_code error;
  connection->stream.socket().shutdown(tcp::socket::shutdown_send, error);
  const auto end = std::chrono::steady_clock::now() + time_max;
  const auto is_over = [&] {
    return connection->shared->is_draining || std::chrono::steady_clock::now() >= end;
  };
  while (!error && !is_over()) {
    connection->expire_after(std::min(pause_max, time_max));
    std::tie(error, std::ignore) =
        co_await connection->stream.socket().async_read_some(asio::buffer(scrap), as_result);
    if (connection->is_late) break;
  }
  connection->expire_never();
}

}  // namespace

void Connection::end_if_late(std::chrono::steady_clock::time_point now) {
  if (now < deadline) return;
  is_late = true;
  error_code ignored;
  stream.socket().cancel(ignored);
}

void Connection::release_if_idle() {
  if (can_do_without_buffer && buffer.capacity() > 0) buffer.shrink_to_fit();
}

// Most answers come sooner than the first look. Asked by poll(): reading would need a buffer for
// what the client sends ahead, which may stand before the end.
void Connection::look_for_client() {
  constexpr int intervals_per_look = 5;
  if (!intervals_awaited || ++*intervals_awaited % intervals_per_look != 0) return;
  pollfd asked{.fd = stream.socket().native_handle(), .events = POLLRDHUP, .revents = 0};
  if (::poll(&asked, 1, 0) > 0) *is_client_gone = true;
}

asio::awaitable<void> serve_connection(ConnectionPtr connection, Connections* all) {
  Shared& shared = *connection->shared;
  const Listing listing(*all, *connection);
  if (!co_await shake_hands(connection)) co_return;
  error_code unknown;
  const auto peer = connection->stream.socket().remote_endpoint(unknown);
  if (!unknown) connection->peer_address = peer.address().to_string();
  const std::shared_ptr<Responder::Target> answers = std::make_shared<AnswerTarget>(connection);
  bool keeps_alive = true;
  bool is_slow = false;
  // A drain that began while the last response was written found nothing to cancel.
  while (keeps_alive && !shared.is_draining) {
    connection->is_idle = true;
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(shared.options.header_bytes_max));
    parser.body_limit(shared.options.body_bytes_max);
    Exchange exchange(shared);
    const error_code error = co_await read_request(connection, &parser, &exchange);
    if (error) break;
    if (!exchange.answer) co_await handle(connection, &exchange, &answers);
    if (!exchange.answer) break;
    keeps_alive = exchange.keeps_alive = exchange.keeps_alive && !shared.is_draining;
    is_slow = exchange.answer->status == 408;
    if (co_await write_response(connection, &exchange, parser.get().version())) co_return;
  }
  connection->is_idle = true;
  if (auto* const tls = connection->stream.tls(); tls != nullptr) {
    // Tells the client that the answer is whole. It is not waited for long to say the same.
    connection->expire_after(std::chrono::milliseconds(500));
    std::ignore = co_await tls->async_shutdown(as_result);
  }
  co_await linger(connection, is_slow ? slow_linger_time : shared.options.body_timeout);
}

}  // namespace millrace::http
