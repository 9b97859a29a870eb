#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "net/io_context.h"
#include "net/transport.h"

namespace pie::net {

using WsStream = boost::beast::websocket::stream<Transport>;

/// What is to be sent over one WebSocket, in order, of either side. One strand only.
class WsOutbox {
 public:
  /// `drained` is called when fewer than `low_bytes` of messages wait, after there were more.
  WsOutbox(WsStream& stream, uint64_t low_bytes, std::function<void()> drained);

  void push(std::string message);
  void ping(std::string payload);  ///< of at most 125 bytes
  void pong();                     ///< nothing, while another one waits
  /// The last thing that is sent: what is pushed later is dropped. A long `reason` is cut.
  void close(uint16_t code, std::string reason);
  /// Bytes of messages that are queued and not yet handed to the kernel.
  uint64_t bytes() const { return bytes_; }

  /// Writes, until stop() (operation_aborted), the closing (websocket::error::closed) or a failure.
  boost::asio::awaitable<boost::system::error_code> run();
  /// Drops what is queued. The caller closes the transport, which ends a write that is under way.
  void stop();

 private:
  struct Item {
    enum class Kind { kMessage, kPing, kPong, kClose } kind;
    std::string bytes;  ///< the message, the ping's payload or the closing's reason
    uint16_t code = 0;
  };
  void add(Item item);
  boost::asio::awaitable<void> write(const Item& item, boost::system::error_code& failed);

  WsStream& stream_;
  const uint64_t low_bytes_;
  const std::function<void()> drained_;
  Signal changed_;
  std::deque<Item> items_;
  uint64_t bytes_ = 0;
  bool is_closing_ = false;
  bool is_stopped_ = false;
};

}  // namespace pie::net
