#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/assert.h"

namespace millrace::http {

// A TCP connection to a server on loopback, on which bytes are sent as they are and responses are
// read one by one. A server that says nothing for a minute ends the test. One thread.
class RawClient {
 public:
  struct Response {
    int status = 0;
    std::map<std::string, std::string> headers;  // Names in lower case.
    std::string body;
  };

  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    MR_ASSERT(socket_ >= 0);
    const int on = 1;
    MR_ASSERT(::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    const timeval patience{60, 0};
    MR_ASSERT(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MR_ASSERT(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // What a closed peer does not take is dropped.
  RawClient& send(std::string_view bytes) {
    static_cast<void>(send_all(bytes));
    return *this;
  }

  // False: the peer has closed.
  bool send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  RawClient& send_byte_by_byte(std::string_view bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(1)) send(bytes.substr(0, 1));
    return *this;
  }

  // The next response; nullopt: the server closed instead.
  std::optional<Response> read(bool is_to_head = false) {
    std::size_t end = 0;
    while ((end = bytes_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return std::nullopt;
    }
    Response response = parsed(bytes_.substr(0, end + 2));
    bytes_.erase(0, end + 4);
    const auto length = response.headers.find("content-length");
    if (is_to_head || length == response.headers.end()) return response;
    const std::size_t size = std::stoul(length->second);
    while (bytes_.size() < size) {
      if (!receive()) return std::nullopt;
    }
    response.body = bytes_.substr(0, size);
    bytes_.erase(0, size);
    return response;
  }

  // What the server still sends until it closes.
  std::string read_to_end() {
    while (receive()) {
    }
    return std::move(bytes_);
  }

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

 private:
  static Response parsed(std::string_view head) {
    Response response;
    MR_ASSERT(head.starts_with("HTTP/1."));
    response.status = std::atoi(std::string(head.substr(9, 3)).c_str());
    head.remove_prefix(head.find("\r\n") + 2);
    while (!head.empty()) {
      const std::size_t end = head.find("\r\n");
      const std::size_t colon = head.find(": ");
      std::string name(head.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      response.headers[name] = std::string(head.substr(colon + 2, end - colon - 2));
      head.remove_prefix(end + 2);
    }
    return response;
  }

  bool receive() {
    char buffer[65536];
    const ssize_t size = ::recv(socket_, buffer, sizeof buffer, 0);
    MR_ASSERT(size >= 0 || errno == ECONNRESET);  // Anything else is a server that hangs.
    if (size <= 0) return false;
    bytes_.append(buffer, static_cast<std::size_t>(size));
    return true;
  }

  int socket_;
  std::string bytes_;  // Received and not yet read.
};

}  // namespace millrace::http
