#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pie::net {

/// The server's end of one WebSocket. All calls but post() and post_after() are made on the
/// connection's strand, that is from a WsHandler's function or from a posted one.
class WsConnection {
 public:
  virtual ~WsConnection() = default;
  /// Queues a binary message. Order is kept among messages, pings and the closing.
  virtual void send(std::string frame) = 0;
  /// Queues a WebSocket ping; the peer's pong brings `payload` (at most 125 bytes) back.
  virtual void ping(std::string payload) = 0;
  /// Closes after what is queued has been written; what comes in from now on is ignored.
  virtual void close(uint16_t code, std::string reason) = 0;
  /// Drops the connection at once.
  virtual void abort() = 0;
  /// Reads no further message, until resume(). What has come is taken; pongs wait, too.
  virtual void pause() = 0;
  virtual void resume() = 0;
  /// Bytes that are queued and not yet handed to the kernel.
  virtual uint64_t outbox_bytes() const = 0;
  /// Runs `task` on the strand; any thread. Dropped when the connection is gone.
  virtual void post(std::function<void()> task) = 0;
  virtual void post_after(uint64_t delay_ms, std::function<void()> task) = 0;
  /// The peer has signed in: it no longer counts among the unknown ones of its address, and may
  /// send whole frames. `user`: whose share of what is being received it uses; "": of nobody's. The
  /// first call counts.
  virtual void set_known(const std::string& user) = 0;
  /// The peer's network address without its port; any thread.
  virtual const std::string& peer_address() const = 0;
};

/// What hears of one connection. Called on its strand, never concurrently.
class WsHandler {
 public:
  virtual ~WsHandler() = default;
  virtual void on_open(std::shared_ptr<WsConnection> connection) = 0;
  virtual void on_message(std::string_view frame) = 0;
  /// A text frame, which the protocol does not have.
  virtual void on_text() = 0;
  virtual void on_pong(std::string_view payload) = 0;
  /// The peer is not silent: a part of a message has come, or would have if it were read on.
  virtual void on_heard() = 0;
  /// The outbox fell below WsConfig::outbox_low_bytes.
  virtual void on_drained() = 0;
  /// The last call. `connection` takes nothing more. kByPeer: the peer has said goodbye.
  enum class Closing { kByPeer, kByUs, kLost };
  virtual void on_closed(Closing closing) = 0;
};

/// Which pages of browsers may connect. A browser names a page's origin in its handshake; what is
/// no browser names none, and passes.
struct OriginPolicy {
  std::vector<std::string> allowed;  ///< "https://app.example.com", "null"; "*": any
  /// The page must have reached us by a loopback address or localhost: a name of its own that
  /// resolves to this machine would make it one of ours (DNS rebinding).
  bool by_loopback_alone = false;
};

struct WsConfig {
  uint64_t frame_bytes_max = 16ULL << 20;  ///< a longer message closes with 1009
  /// The same before the peer has signed in: an identification, a token, a signature.
  uint64_t unknown_frame_bytes_max = 16ULL << 10;
  uint64_t user_receive_bytes_max = 64ULL << 20;  ///< of messages that are coming; 0 = unlimited
  uint64_t total_receive_bytes_max = 1ULL << 30;
  uint64_t outbox_low_bytes = 256ULL << 10;
  OriginPolicy origins;
};

/// What becomes of a port's WebSockets.
struct WsRoute {
  WsConfig config;
  std::function<std::shared_ptr<WsHandler>()> accept;  ///< any thread; one per connection
};

}  // namespace pie::net
