#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/ws_url.h"

namespace pie::net {

/// One WebSocket connection of a client: binary frames out and in, in order. It never hangs: a
/// connect takes at most `connect_timeout`, and a peer that is silent for `silence_timeout` (not
/// even a pong) is gone. Everything, handlers included, runs on the thread that runs `io`.
class WsClient {
 public:
  struct Options {
    std::chrono::milliseconds connect_timeout{10'000};
    std::chrono::milliseconds silence_timeout{30'000};
    std::chrono::milliseconds close_timeout{1'000};
    size_t frame_bytes_max = 64u << 20;
    std::string ca_file;  ///< of wss://: PEM certificates to trust besides the system's
  };
  struct Handlers {
    std::function<void()> on_open;
    /// The frame is valid during the call. An error closes the connection and is its loss.
    std::function<Result<void>(std::string_view)> on_frame;
    /// Fewer than kLowWaterBytes wait to be sent, after there were more: a moment to send on.
    std::function<void()> on_drained;
    /// Called once, at last: the connect failed, or the connection is lost or closed
    /// (kUnavailable), or on_frame's error. No handler is called afterwards.
    std::function<void(Error)> on_closed;
  };

  static constexpr size_t kLowWaterBytes = 1u << 20;

  class Connection;

  /// Whether the options are of use for this server: kInvalidArgument names what is not.
  static Result<void> check(const WsUrl& url, const Options& options);

  /// Starts to connect. `io` must outlive the connection.
  WsClient(boost::asio::io_context& io, const WsUrl& url, const Options& options,
           Handlers handlers);
  /// Drops the connection without a word; no handler is called afterwards.
  ~WsClient();
  WsClient(const WsClient&) = delete;
  WsClient& operator=(const WsClient&) = delete;

  /// Queues a frame. The queue is unbounded: senders of much ask queued_bytes() first.
  void send(std::string frame);
  size_t queued_bytes() const;
  /// From on_frame: reads nothing after this frame, and so answers no ping that came after it,
  /// until resume(). Meanwhile an unasked pong a second says that this side is alive, and the
  /// peer's silence is none.
  void pause();
  void resume();
  /// Sends what is queued, then closes; on_closed comes within `close_timeout`.
  void close();

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace pie::net
