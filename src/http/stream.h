#pragma once

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace millrace::http {

// A client's socket, with TLS over it or without: what Beast reads from and writes to.
class Stream {
 public:
  using executor_type = boost::asio::ip::tcp::socket::executor_type;
  using TlsContext = boost::asio::ssl::context;

  // `tls`: null for none; kept as long as the stream.
  Stream(boost::asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> tls)
      : socket_(std::move(socket)), tls_context_(std::move(tls)) {
    if (tls_context_) tls_.emplace(socket_, *tls_context_);
  }

  executor_type get_executor() { return socket_.get_executor(); }

  // The socket below: to cancel what is under way, to end one side, to ask for the peer.
  boost::asio::ip::tcp::socket& socket() { return socket_; }

  // Null: no TLS. For its handshake and its end.
  boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>* tls() { return tls_ ? &*tls_ : nullptr; }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, const Buffers& into) {
          if (tls_) {
            tls_->async_read_some(into, std::move(handler));
          } else {
            socket_.async_read_some(into, std::move(handler));
          }
        },
        token, buffers);
  }

  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, const Buffers& from) {
          if (tls_) {
            tls_->async_write_some(from, std::move(handler));
          } else {
            socket_.async_write_some(from, std::move(handler));
          }
        },
        token, buffers);
  }

 private:
  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<TlsContext> tls_context_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
};

}  // namespace millrace::http
