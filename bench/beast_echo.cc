// The least that an HTTP server of Boost.Beast does: reads a request, answers with its body. One
// thread; what bench/pipeline compares the ingestion API with.
//
// Usage: beast_echo (prints its port; ends with its standard input)
#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr std::uint64_t body_bytes_max = 64 * 1024 * 1024;

asio::awaitable<void> serve(tcp::socket socket) {
  beast::flat_buffer buffer;
  bool keeps_alive = true;
  while (keeps_alive) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(body_bytes_max);
    co_await http::async_read(socket, buffer, parser, asio::use_awaitable);
    auto request = parser.release();
    http::response<http::string_body> response(http::status::ok, request.version());
    keeps_alive = request.keep_alive();
    response.keep_alive(keeps_alive);
    response.body() = std::move(request.body());
    response.prepare_payload();
    co_await http::async_write(socket, response, asio::use_awaitable);
  }
}

asio::awaitable<void> accept(tcp::acceptor* acceptor) {
  while (true) {
    tcp::socket socket = co_await acceptor->async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    // A connection that ends between requests ends its coroutine with an exception.
    asio::co_spawn(acceptor->get_executor(), serve(std::move(socket)),
                   [](const std::exception_ptr&) {});
  }
}

}  // namespace

int main() {
  asio::io_context context(1);
  tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
  fmt::print("{}\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  asio::posix::stream_descriptor input(context, STDIN_FILENO);
  char byte = 0;
  input.async_read_some(asio::buffer(&byte, 1), [&context](const boost::system::error_code&,
                                                           std::size_t) { context.stop(); });
  asio::co_spawn(context, accept(&acceptor), asio::detached);
  context.run();
  return 0;
}
