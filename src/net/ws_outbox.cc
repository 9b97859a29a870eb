#include "net/ws_outbox.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <utility>

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

constexpr size_t kCloseReasonBytesMax = 123;  // RFC 6455, section 5.5

}  // namespace

WsOutbox::WsOutbox(WsStream& stream, uint64_t low_bytes, std::function<void()> drained)
    : stream_(stream),
      low_bytes_(low_bytes),
      drained_(std::move(drained)),
      changed_(stream.get_executor()) {}

void WsOutbox::add(Item item) {
  if (is_closing_ || is_stopped_) return;
  if (item.kind == Item::Kind::kMessage) bytes_ += item.bytes.size();
  is_closing_ = item.kind == Item::Kind::kClose;
  items_.push_back(std::move(item));
  changed_.set();
}

void WsOutbox::push(std::string message) { add({Item::Kind::kMessage, std::move(message)}); }
void WsOutbox::ping(std::string payload) { add({Item::Kind::kPing, std::move(payload)}); }
void WsOutbox::pong() {
  if (items_.empty() || items_.back().kind != Item::Kind::kPong) add({Item::Kind::kPong, {}});
}
void WsOutbox::close(uint16_t code, std::string reason) {
  reason.resize(std::min(reason.size(), kCloseReasonBytesMax));
  add({Item::Kind::kClose, std::move(reason), code});
}

void WsOutbox::stop() {
  is_stopped_ = true;
  items_.clear();
  bytes_ = 0;
  changed_.set();
}

asio::awaitable<error_code> WsOutbox::run() {
  error_code failed;
  while (!is_stopped_) {
    if (items_.empty()) {
      co_await changed_.wait();
      continue;
    }
    const Item item = std::move(items_.front());
    items_.pop_front();
    co_await write(item, failed);
    if (is_stopped_) break;
    if (item.kind == Item::Kind::kClose) co_return websocket::error::closed;
    if (failed) co_return failed;
    if (item.kind != Item::Kind::kMessage) continue;
    const bool was_full = bytes_ >= low_bytes_;
    bytes_ -= item.bytes.size();
    if (was_full && bytes_ < low_bytes_) drained_();
  }
  co_return asio::error::operation_aborted;
}

asio::awaitable<void> WsOutbox::write(const Item& item, error_code& failed) {
  auto token = asio::redirect_error(asio::use_awaitable, failed);
  const boost::beast::string_view text(item.bytes.data(), item.bytes.size());
  if (item.kind == Item::Kind::kMessage) {
    co_await stream_.async_write(asio::buffer(item.bytes), token);
  } else if (item.kind == Item::Kind::kClose) {
    const websocket::close_reason reason(static_cast<websocket::close_code>(item.code), text);
    co_await stream_.async_close(reason, token);
  } else {
    const websocket::ping_data payload(text);
    if (item.kind == Item::Kind::kPing)
      co_await stream_.async_ping(payload, token);
    else
      co_await stream_.async_pong(payload, token);
  }
}

}  // namespace pie::net
