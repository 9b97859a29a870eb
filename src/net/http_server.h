#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/http_exchange.h"
#include "net/io_threads.h"
#include "net/ws_connection.h"

namespace pie::net {

struct HttpServerConfig {
  std::string host = "127.0.0.1";  ///< an address or a name of this machine
  uint16_t port = 0;               ///< 0 = a free one
  uint32_t connections_max = 256;  ///< more wait in the kernel's queue
  /// Connections of one network address whose peer is not known (WsConnection::set_known); one more
  /// is dropped at once, so that one address cannot take all of connections_max. 0 = unlimited.
  uint32_t unknown_per_address_max = 0;
  uint64_t header_bytes_max = 32 << 10;   ///< of one request; more is answered with 431
  uint64_t body_bytes_max = 64ULL << 20;  ///< of one request; more is answered with 413
  /// From the connection's begin, TLS included, to its first header's last byte; 0: as
  /// header_ms_max says.
  uint64_t first_header_ms_max = 0;
  uint64_t header_ms_max = 10'000;  ///< from the first byte of a header to its last
  uint64_t idle_ms_max = 60'000;    ///< between requests
  uint64_t stall_ms_max = 60'000;   ///< without a byte of body, either way
  std::string tls_certificate;      ///< PEM chain file; with tls_key it speaks TLS alone
  std::string tls_key;              ///< PEM file
};

/// Serves HTTP/1.0 and 1.1, and WebSockets, on one port by threads that it shares. Each connection
/// has one request at a time; a slow reader and a slow writer hold up nobody else.
class HttpServer {
 public:
  /// Binds and listens, and starts serving. A request that asks for an upgrade becomes a
  /// WebSocket's connection where there is `websockets`; every other goes to `handler`. null: what
  /// is no handshake is refused. kUnavailable with the system's reason when the address can't be
  /// had; kInvalidArgument names what of the configuration is no use.
  static Result<std::shared_ptr<HttpServer>> listen(
      IoThreads& threads, const HttpServerConfig& config, HttpHandler handler,
      std::optional<WsRoute> websockets = std::nullopt);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  /// Stops accepting. WebSockets are closed with 1001 after what they have queued, others cut; what
  /// is left after `drain_ms_max` is cut, too. `done` comes once, from a serving thread, when the
  /// port is free and no handler will be called any more.
  virtual void stop(std::function<void()> done, uint64_t drain_ms_max = 0) = 0;
  /// The same, and waits for it. Not from a serving thread.
  void stop_and_wait(uint64_t drain_ms_max);
};

}  // namespace pie::net
