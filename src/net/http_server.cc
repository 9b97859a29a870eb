#include "net/http_server.h"

#include <future>
#include <utility>

#include "net/http_connection.h"
#include "net/listener.h"
#include "net/ws_handshake.h"

namespace pie::net {
namespace {

ListenerConfig listener_config(const HttpServerConfig& config) {
  return {.host = config.host,
          .port = config.port,
          .connections_max = config.connections_max,
          .unknown_per_address_max = config.unknown_per_address_max,
          .tls_ms_max = config.header_ms_max,
          .tls_certificate = config.tls_certificate,
          .tls_key = config.tls_key};
}

class AsioHttpServer final : public HttpServer {
 public:
  explicit AsioHttpServer(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
  uint16_t port() const override { return listener_->port(); }
  void stop(std::function<void()> done, uint64_t drain_ms_max) override {
    listener_->stop(drain_ms_max, std::move(done));
  }

 private:
  const std::shared_ptr<Listener> listener_;
};

}  // namespace

Result<std::shared_ptr<HttpServer>> HttpServer::listen(IoThreads& threads,
                                                       const HttpServerConfig& config,
                                                       HttpHandler handler,
                                                       std::optional<WsRoute> websockets) {
  auto routes = std::make_shared<HttpRoutes>(HttpRoutes{config, std::move(handler), nullptr});
  if (websockets) {
    PIE_TRY(check_origins(websockets->config.origins));
    routes->websockets = std::make_shared<WsShared>(std::move(*websockets));
  }
  PIE_TRY_ASSIGN(auto listener,
                 Listener::open(threads, listener_config(config), [routes](Accepted accepted) {
                   return std::make_shared<HttpConnection>(std::move(accepted), routes);
                 }));
  return std::shared_ptr<HttpServer>(std::make_shared<AsioHttpServer>(std::move(listener)));
}

void HttpServer::stop_and_wait(uint64_t drain_ms_max) {
  std::promise<void> stopped;
  stop([&stopped] { stopped.set_value(); }, drain_ms_max);
  stopped.get_future().wait();
}

}  // namespace pie::net
