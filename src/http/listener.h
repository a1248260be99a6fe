#pragma once

#include <boost/asio.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "http/connection.h"

namespace millrace::http {

// One thread with its own listening socket: the kernel spreads connections over them.
class Listener {
 public:
  explicit Listener(std::shared_ptr<Shared> shared);

  // Throws boost::system::system_error where the port cannot be had.
  void listen(const boost::asio::ip::tcp::endpoint& endpoint);

  std::uint16_t port() const;

  // Starts the thread, under that name.
  void start(const std::string& name);

  // Accepts no more, and closes the connections that wait for a request.
  void drain();

  // Ends the thread, and with it every connection. Repeating is safe.
  void stop();

 private:
  static boost::asio::awaitable<void> accept(Listener* self);
  static boost::asio::awaitable<void> watch_deadlines(Listener* self);
  static boost::asio::awaitable<void> refuse(Listener* self, boost::asio::ip::tcp::socket socket);
  void log_accept_failure(const boost::system::error_code& error);
  void run();

  const std::shared_ptr<Shared> shared_;
  Connections connections_;
  const std::shared_ptr<boost::asio::io_context> context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  bool is_watching_ = false;  // watch_deadlines() runs.
  int refused_waiting_ = 0;   // Refused connections that are not closed yet.
  std::chrono::steady_clock::time_point next_accept_log_;
  std::thread thread_;
};

}  // namespace millrace::http
