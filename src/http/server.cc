#include "http/server.h"

#include <fmt/format.h>

#include <boost/asio.hpp>
#include <utility>

#include "http/listener.h"
#include "http/tls.h"

namespace millrace::http {

namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

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
    MR_TRY(reload_tls());
    try {
      tcp::endpoint endpoint(asio::ip::make_address(options.address), options.port);
      refuse_shared_port(endpoint);
      for (int i = 0; i < options.threads; ++i) {
        listeners_.push_back(std::make_unique<Listener>(shared_));
        listeners_.back()->listen(endpoint);
        endpoint.port(listeners_.back()->port());
      }
      port_ = endpoint.port();
    } catch (const boost::system::system_error& error) {
      listeners_.clear();
      return fail(Errc::unavailable, fmt::format("cannot listen on {}:{}: {}", options.address,
                                                 options.port, error.code().message()));
    }
    int number = 0;
    for (const auto& listener : listeners_) listener->start(fmt::format("http-{}", number++));
    return {};
  }

  Result<void> reload_tls() override {
    const ServerOptions& options = shared_->options;
    if (options.tls_certificate_file.empty()) return {};
    MR_TRY_ASSIGN(auto context,
                  open_tls_context(options.tls_certificate_file, options.tls_key_file));
    const std::lock_guard lock(shared_->mutex);
    shared_->tls_context = std::move(context);
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
