#include "net/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
#include <set>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/http_connection.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// The acceptor and the connections of one server; on a strand of its own.
class Server final : public HttpServer, public std::enable_shared_from_this<Server> {
 public:
  Server(IoThreads& threads, const HttpServerConfig& config, Handler handler)
      : config_(config),
        handler_(std::move(handler)),
        io_(threads.impl().io),
        acceptor_(asio::make_strand(io_)),
        changed_(acceptor_.get_executor()) {}

  Result<void> bind() {
    error_code failed;
    const auto address = asio::ip::make_address(config_.host, failed);
    if (failed) return refused(failed);
    const asio::ip::tcp::endpoint endpoint(address, config_.port);
    acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
    if (failed) return refused(failed);
    port_ = acceptor_.local_endpoint().port();
    return {};
  }
  void start() {
    asio::co_spawn(acceptor_.get_executor(), accept_loop(shared_from_this()), asio::detached);
  }

  uint16_t port() const override { return port_; }

  void stop(std::function<void()> done) override {
    asio::post(acceptor_.get_executor(), [self = shared_from_this(), done = std::move(done)] {
      self->stopped_ = true;
      self->when_stopped_.push_back(done);
      error_code ignored;
      self->acceptor_.close(ignored);
      for (const auto& one : self->connections_) one->drop();
      self->changed_.set();
      self->tell_if_stopped();
    });
  }

 private:
  Error refused(const error_code& failed) const {
    return {ErrorCode::kUnavailable,
            "[listen on " + config_.host + ":" + std::to_string(config_.port) +
                "] got: " + failed.message() + ", expected a free port; choose another"};
  }

  static asio::awaitable<void> accept_loop(std::shared_ptr<Server> self) {
    while (!self->stopped_) {
      if (self->connections_.size() >= self->config_.connections_max) {
        co_await self->changed_.wait();
        continue;
      }
      error_code failed;
      auto socket = co_await self->acceptor_.async_accept(
          asio::make_strand(self->io_), asio::redirect_error(asio::use_awaitable, failed));
      if (self->stopped_) break;
      if (failed) {  // out of descriptors, or a client that left at once
        log::warning("accept: {}", failed.message());
        asio::steady_timer pause(self->acceptor_.get_executor(), std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failed));
        continue;
      }
      self->serve(std::move(socket));
    }
    self->accepting_ = false;
    self->tell_if_stopped();
  }

  void serve(asio::ip::tcp::socket socket) {
    auto connection = std::make_shared<HttpConnection>(std::move(socket), config_, handler_);
    connections_.insert(connection);
    asio::co_spawn(connection->executor(), HttpConnection::run(connection),
                   [self = shared_from_this(), connection](std::exception_ptr failure) {
                     if (failure) connection->drop();
                     asio::post(self->acceptor_.get_executor(), [self, connection] {
                       self->connections_.erase(connection);
                       self->changed_.set();
                       self->tell_if_stopped();
                     });
                   });
  }

  void tell_if_stopped() {
    if (!stopped_ || accepting_ || !connections_.empty()) return;
    for (const auto& done : std::exchange(when_stopped_, {})) done();
  }

  const HttpServerConfig config_;
  const Handler handler_;
  asio::io_context& io_;
  asio::ip::tcp::acceptor acceptor_;
  Signal changed_;  ///< a connection has gone, or the server is to stop
  uint16_t port_ = 0;
  bool stopped_ = false;
  bool accepting_ = true;
  std::set<std::shared_ptr<HttpConnection>> connections_;
  std::vector<std::function<void()>> when_stopped_;
};

}  // namespace

Result<std::shared_ptr<HttpServer>> HttpServer::listen(IoThreads& threads,
                                                       const HttpServerConfig& config,
                                                       Handler handler) {
  auto server = std::make_shared<Server>(threads, config, std::move(handler));
  PIE_TRY(server->bind());
  server->start();
  return std::shared_ptr<HttpServer>(std::move(server));
}

}  // namespace pie::net
