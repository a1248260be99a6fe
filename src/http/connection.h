#pragma once

#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_set>
#include <utility>

#include "http/shared_state.h"

namespace millrace::http {

// One client. Touched on its listener's thread only; the coroutine that serves it keeps it.
struct Connection : std::enable_shared_from_this<Connection> {
  Connection(std::shared_ptr<Shared> shared_,
             const std::shared_ptr<boost::asio::io_context>& context_,
             boost::asio::ip::tcp::socket socket_)
      : shared(std::move(shared_)),
        context(context_),
        stream(std::move(socket_), shared->tls()),
        deadline(*context_),
        buffer(shared->options.header_bytes_max + read_ahead_bytes_max),
        count(shared) {}

  // What is read beyond a header: of its body, of the next request, or of a chunk's framing.
  static constexpr std::size_t read_ahead_bytes_max = 128 * 1024;

  // Ends what is under way on the socket after this long, and leaves it open for an answer. An
  // operation that completes at just that instant is not ended: loops look at is_late.
  void expire_after(std::chrono::milliseconds timeout);
  void expire_never();

  std::shared_ptr<Shared> shared;
  std::weak_ptr<boost::asio::io_context> context;
  Stream stream;
  boost::asio::steady_timer deadline;
  std::uint64_t deadline_number = 0;
  bool is_late = false;  // Whether the last deadline has passed.
  boost::beast::flat_buffer buffer;
  ConnectionCount count;
  bool is_idle = true;  // Between requests: nobody minds if it is closed.

 private:
  void cancel_until_it_ends();
};

using Connections = std::unordered_set<Connection*>;

// Answers the connection's requests, in order, until one side closes. It is in `all` meanwhile,
// which must outlive the coroutine.
boost::asio::awaitable<void> serve_connection(std::shared_ptr<Connection> connection,
                                              Connections* all);

}  // namespace millrace::http
