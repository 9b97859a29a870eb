#include "net/ws_server_connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include "base/log.h"
#include "net/io_context.h"
#include "net/ws_outbox.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kPieceBytes = 64 << 10;        // of a message, at a time
constexpr size_t kFreeBytes = 64 << 10;         // of one that no budget counts
constexpr uint64_t kHeardMs = 1'000;            // between two words for one that waits
constexpr uint16_t kGoingAway = 1001;           // RFC 6455, section 7.4.1
constexpr uint16_t kCloseTryAgainLater = 1013;  // IANA's registry of close codes
constexpr const char* kNoMemory =
    "[message] got no memory from the machine, expected room for it; try again later";

class ServerWebSocket final : public WsConnection,
                              public ServedConnection,
                              public std::enable_shared_from_this<ServerWebSocket> {
 public:
  ServerWebSocket(Accepted accepted, std::shared_ptr<WsShared> shared, UpgradeRequest request,
                  uint64_t answer_ms_max)
      : shared_(std::move(shared)),
        config_(shared_->route.config),
        request_(std::move(request)),
        stream_(std::move(accepted.transport)),
        outbox_(stream_, config_.outbox_low_bytes,
                [this] {
                  if (!finished_) handler_->on_drained();
                }),
        resumed_(stream_.get_executor()),
        read_on_(stream_.get_executor()),
        handler_(shared_->route.accept()),
        peer_address_(std::move(accepted.peer_address)),
        place_(std::move(accepted.place)) {
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = milliseconds(answer_ms_max);
    timeout.idle_timeout = websocket::stream_base::none();
    timeout.keep_alive_pings = false;
    stream_.set_option(timeout);
    stream_.read_message_max(std::min(config_.frame_bytes_max, config_.unknown_frame_bytes_max));
    stream_.auto_fragment(false);
    stream_.binary(true);
    stream_.control_callback([this](websocket::frame_type kind, beast::string_view payload) {
      if (kind == websocket::frame_type::pong && !finished_)
        handler_->on_pong({payload.data(), payload.size()});
    });
  }

  // ServedConnection
  asio::awaitable<std::shared_ptr<ServedConnection>> run() override {
    const auto self = shared_from_this();
    error_code failed;
    co_await stream_.async_accept(request_, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) {
      abort();
      co_return nullptr;
    }
    request_ = {};
    asio::co_spawn(stream_.get_executor(), outbox_.run(),
                   [self](const std::exception_ptr&, const error_code&) { self->abort(); });
    bool is_whole = false;
    try {
      handler_->on_open(self);
      co_await read_messages(failed);
      is_whole = true;
    } catch (const std::exception& failure) {
      log::error("a connection ended with: {}", failure.what());
    }
    if (!is_whole) abort();
    const bool goodbye = failed == websocket::error::closed;
    finish(closing_ && is_whole  ? WsHandler::Closing::kByUs
           : goodbye && is_whole ? WsHandler::Closing::kByPeer
                                 : WsHandler::Closing::kLost);
    co_return nullptr;
  }
  void shut_down() override { close(kGoingAway, "the server is stopping"); }
  void drop() override { abort(); }

  // WsConnection
  void send(std::string frame) override { outbox_.push(std::move(frame)); }
  void ping(std::string payload) override { outbox_.ping(std::move(payload)); }
  void close(uint16_t code, std::string reason) override {
    if (closing_) return;
    closing_ = true;
    outbox_.close(code, std::move(reason));
    read_on_.cancel();
  }
  void abort() override {
    closing_ = true;
    stream_.next_layer().close();
    outbox_.stop();
    place_ = nullptr;
    read_on_.cancel();
    resume();
  }
  void pause() override { paused_ = true; }
  void resume() override {
    paused_ = false;
    resumed_.set();
  }
  uint64_t outbox_bytes() const override { return outbox_.bytes(); }
  void post(std::function<void()> task) override {
    asio::post(stream_.get_executor(), [self = shared_from_this(), run_task = std::move(task)] {
      if (!self->finished_) run_task();
    });
  }
  void post_after(uint64_t delay_ms, std::function<void()> task) override {
    auto timer =
        std::make_shared<asio::steady_timer>(stream_.get_executor(), milliseconds(delay_ms));
    auto weak = weak_from_this();
    timer->async_wait([timer, weak, run_task = std::move(task)](error_code failed) {
      const auto self = weak.lock();
      if (!failed && self && !self->finished_) run_task();
    });
  }
  void set_known(const std::string& user) override {
    if (!place_) return;
    place_.reset();
    stream_.read_message_max(config_.frame_bytes_max);
    claim_ = shared_->budget.claim(user, [weak = weak_from_this(), on = stream_.get_executor()] {
      asio::post(on, [weak] {
        if (const auto self = weak.lock()) self->read_on_.cancel();
      });
    });
  }
  const std::string& peer_address() const override { return peer_address_; }

 private:
  /// Until the connection fails or is closed.
  asio::awaitable<void> read_messages(error_code& failed) {
    while (!finished_) {
      if (paused_) {
        co_await resumed_.wait();
        continue;
      }
      beast::flat_buffer buffer;
      co_await read_message(buffer, failed);
      if (failed) co_return;
      if (closing_) continue;
      if (!stream_.got_binary()) {
        handler_->on_text();
        continue;
      }
      hand_over(buffer);
    }
  }

  /// A whole message; while its user's messages, or all, are too many bytes, it is not read on.
  asio::awaitable<void> read_message(beast::flat_buffer& buffer, error_code& failed) {
    uint64_t claimed = 0;
    for (;;) {
      if (closing_) buffer.clear();  // nobody hears it
      const uint64_t wanted = claim_ && buffer.size() >= kFreeBytes ? buffer.size() : 0;
      if (wanted > claimed && !closing_) {
        if (claim_->grow(kPieceBytes)) {
          claimed += kPieceBytes;
          continue;
        }
        error_code woken;
        read_on_.expires_after(milliseconds(kHeardMs));
        co_await read_on_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (!closing_) handler_->on_heard();
        continue;
      }
      if (!reserve(buffer)) continue;
      co_await stream_.async_read_some(buffer, kPieceBytes,
                                       asio::redirect_error(asio::use_awaitable, failed));
      if (failed || stream_.is_message_done()) break;
      if (!closing_) handler_->on_heard();
    }
    if (claim_) claim_->release();
  }

  /// Room for the next piece, so that no read has to find it; false, and the peer is told, when the
  /// machine has none.
  bool reserve(beast::flat_buffer& buffer) {
    if (buffer.size() < kPieceBytes) return true;
    try {
      buffer.reserve(buffer.size() + kPieceBytes);
      return true;
    } catch (const std::bad_alloc&) {
      if (closing_) throw;  // not even for what nobody hears
      close(kCloseTryAgainLater, kNoMemory);
      buffer.clear();
      return false;
    }
  }

  void hand_over(const beast::flat_buffer& buffer) {
    const auto data = buffer.cdata();
    try {
      handler_->on_message({static_cast<const char*>(data.data()), data.size()});
    } catch (const std::bad_alloc&) {
      log::error("a message of {} bytes: the machine has no memory for it", data.size());
      close(kCloseTryAgainLater, kNoMemory);
    }
  }

  /// Gives back what it has of others' and says the last word.
  void finish(WsHandler::Closing closing) {
    closing_ = true;
    finished_ = true;
    outbox_.stop();
    claim_ = nullptr;
    place_ = nullptr;
    handler_->on_closed(closing);
    handler_.reset();
  }

  const std::shared_ptr<WsShared> shared_;
  const WsConfig& config_;
  UpgradeRequest request_;  ///< until it is answered
  WsStream stream_;
  WsOutbox outbox_;
  Signal resumed_;              ///< reading may go on
  asio::steady_timer read_on_;  ///< cancelled when a message that waits may grow
  std::shared_ptr<WsHandler> handler_;
  const std::string peer_address_;
  std::unique_ptr<Shares::Place> place_;         ///< until set_known()
  std::unique_ptr<ReceiveBudget::Claim> claim_;  ///< from then on
  bool paused_ = false;
  bool closing_ = false;
  bool finished_ = false;
};

}  // namespace

std::shared_ptr<ServedConnection> serve_websocket(Accepted accepted,
                                                  std::shared_ptr<WsShared> shared,
                                                  UpgradeRequest request, uint64_t answer_ms_max) {
  return std::make_shared<ServerWebSocket>(std::move(accepted), std::move(shared),
                                           std::move(request), answer_ms_max);
}

}  // namespace pie::net
