#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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
        answered(*context_, boost::asio::steady_timer::time_point::max()),
        buffer(shared->options.header_bytes_max + read_ahead_bytes_max),
        count(shared) {}

  // What is read beyond a header: of its body, of the next request, or of a chunk's framing.
  static constexpr std::size_t read_ahead_bytes_max = 128 * 1024;

  // Ends what is under way on the socket after this long, and leaves it open for an answer. An
  // operation that completes at just that instant is not ended: loops look at is_late. Only a time
  // is set, which the listener looks at now and then: a timer for each step of each request took a
  // tenth of what a small request costs.
  void expire_after(std::chrono::milliseconds timeout) {
    is_late = false;
    deadline = std::chrono::steady_clock::now() + timeout;
  }
  void expire_never() { deadline = never; }

  // Called every deadline_interval. Also after the first time: between two steps of a write there
  // is nothing to cancel.
  void end_if_late(std::chrono::steady_clock::time_point now);

  // Frees the read buffer of a connection that waits for a request: 4 of the 8 kB that it takes.
  // Called every deadline_interval, not after each request: the next one would pay for new memory.
  void release_if_idle();

  // Notices that the client has closed its side while its answer is awaited. Called every
  // deadline_interval.
  void look_for_client();

  static constexpr auto never = std::chrono::steady_clock::time_point::max();

  std::shared_ptr<Shared> shared;
  std::weak_ptr<boost::asio::io_context> context;
  Stream stream;
  std::chrono::steady_clock::time_point deadline = never;
  bool is_late = false;  // Whether the last deadline has passed.
  // Where the answer to the request under way arrives, and what is cancelled then.
  std::optional<Response> answer;
  boost::asio::steady_timer answered;
  // For how many times of deadline_interval it has been awaited; nullopt: it is not.
  std::optional<int> intervals_awaited;
  const std::shared_ptr<std::atomic<bool>> is_client_gone =
      std::make_shared<std::atomic<bool>>(false);
  boost::beast::flat_buffer buffer;
  ConnectionCount count;
  bool can_do_without_buffer = false;  // Nothing is being read into it, and it is empty.
  bool is_idle = true;                 // Between requests: nobody minds if it is closed.
  std::string peer_address;
  std::string written;  // The answer as it goes out; its memory serves the next one too.
};

// How often a listener looks whether its connections are late.
inline constexpr std::chrono::milliseconds deadline_interval{50};

using Connections = std::unordered_set<Connection*>;

// Answers the connection's requests, in order, until one side closes. It is in `all` meanwhile,
// which must outlive the coroutine.
boost::asio::awaitable<void> serve_connection(std::shared_ptr<Connection> connection,
                                              Connections* all);

}  // namespace millrace::http
