#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <memory>
#include <string>

#include "net/exchange_io.h"
#include "net/http_head.h"
#include "net/http_server.h"
#include "net/io_context.h"
#include "net/served_connection.h"
#include "net/ws_server_connection.h"

namespace pie::net {

/// What becomes of a port's requests.
struct HttpRoutes {
  HttpServerConfig config;
  HttpHandler handler;                   ///< null: what is no handshake is refused
  std::shared_ptr<WsShared> websockets;  ///< null: handshakes are requests like others
};

/// One connection of a client to an HttpServer: its requests, one after the other, until it is
/// closed or becomes a WebSocket's.
class HttpConnection final : public ServedConnection,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Accepted accepted, std::shared_ptr<const HttpRoutes> routes);

  boost::asio::awaitable<std::shared_ptr<ServedConnection>> run() override;
  void shut_down() override { drop(); }
  void drop() override;

 private:
  /// Reads a head; "" when the connection is to be closed (what had to be said was).
  boost::asio::awaitable<std::string> read_head();
  void arm_head_deadline();
  /// Whether the request is a WebSocket's, or is to be refused as none.
  bool is_for_websockets(const std::string& head) const;
  boost::asio::awaitable<std::shared_ptr<ServedConnection>> upgrade(std::string head);
  /// One request and its answer; false when the connection is to be closed.
  boost::asio::awaitable<bool> serve(std::string head);
  boost::asio::awaitable<void> refuse(HttpRefusal refusal);

  Accepted accepted_;
  const std::shared_ptr<const HttpRoutes> routes_;
  const HttpServerConfig& config_;
  boost::beast::flat_buffer buffer_;
  Deadline deadline_;
  std::weak_ptr<ExchangeIo> exchange_;  ///< the current one
  bool is_first_ = true;                ///< the next request is the connection's first
  bool closed_ = false;
};

}  // namespace pie::net
