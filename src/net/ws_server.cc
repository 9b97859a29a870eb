#include "net/ws_server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/threads.h"
#include "net/http_head.h"
#include "net/io_context.h"
#include "net/ip_address.h"
#include "net/receive_budget.h"
#include "net/shares.h"
#include "net/ws_handshake.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kHandshakeBytesMax = 16 << 10;  // browsers send cookies along
constexpr size_t kPieceBytes = 64 << 10;         // of a message, at a time
constexpr size_t kFreeBytes = 64 << 10;          // of one that no budget counts
constexpr uint64_t kHeardMs = 1'000;             // between two words for one that waits
constexpr uint64_t kFarewellMs = 1'000;          // for a refusal to arrive
constexpr uint16_t kCloseTryAgainLater = 1013;   // IANA's registry of close codes
constexpr const char* kNoMemory =
    "[message] got no memory from the machine, expected room for it; try again later";
constexpr size_t kCloseReasonBytesMax = 123;  // RFC 6455, section 5.5

/// Counts live connections, so that stop() can wait for them.
class LiveCount {
 public:
  void enter() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    --count_;
    changed_.notify_all();
  }
  uint32_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  bool wait_for_none(uint64_t ms) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, milliseconds(ms), [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t count_ = 0;
};

template <class Socket>
std::string address_of(const Socket& socket) {
  error_code failed;
  const auto peer = socket.remote_endpoint(failed);
  return failed ? std::string() : peer.address().to_string();
}

using Plain = beast::tcp_stream;
using Secure = beast::ssl_stream<beast::tcp_stream>;

/// What the server does with a connection, whatever it speaks over.
class AnyConnection : public WsConnection {
 public:
  virtual asio::any_io_executor executor() = 0;
  /// The read loop died of an exception (a handler's).
  virtual void fail() = 0;
  /// Any thread.
  virtual void shut_down() = 0;
  virtual void drop() = 0;
};

template <class Transport>
class Connection final : public AnyConnection,
                         public std::enable_shared_from_this<Connection<Transport>> {
 public:
  using std::enable_shared_from_this<Connection<Transport>>::shared_from_this;
  using std::enable_shared_from_this<Connection<Transport>>::weak_from_this;

  Connection(Transport transport, const WsServerConfig& config, std::shared_ptr<WsHandler> handler,
             std::unique_ptr<Shares::Place> place, ReceiveBudget& budget)
      : config_(config),
        stream_(std::move(transport)),
        wake_(stream_.get_executor(), asio::steady_timer::time_point::max()),
        resumed_(stream_.get_executor(), asio::steady_timer::time_point::max()),
        read_on_(stream_.get_executor()),
        budget_(budget),
        handler_(std::move(handler)),
        peer_address_(address_of(beast::get_lowest_layer(stream_).socket())),
        place_(std::move(place)) {}

  static asio::awaitable<void> run(std::shared_ptr<Connection> self) {
    error_code failed;
    self->configure();
    auto& transport = self->stream_.next_layer();
    auto& tcp = beast::get_lowest_layer(self->stream_);
    tcp.expires_after(milliseconds(self->config_.handshake_ms_max));
    if constexpr (std::is_same_v<Transport, Secure>)
      if (!co_await shake_hands_over_tls(transport, tcp)) co_return;
    beast::flat_buffer begun;
    HeadRead head = co_await read_http_head(transport, begun, kHandshakeBytesMax, false);
    if (head.failed) co_return;
    UpgradeRequest request;
    if (!head.refusal) head.refusal = parse_handshake(head.text, self->config_.origins, request);
    if (!head.refusal && begun.size() > 0)
      head.refusal = HttpRefusal{400, "got data before the handshake was answered"};
    if (head.refusal) {
      tcp.expires_after(milliseconds(kFarewellMs));
      co_return co_await send_refusal(transport, tcp.socket(), std::move(*head.refusal));
    }
    tcp.expires_never();
    co_await self->stream_.async_accept(request, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return;
    self->open_ = true;
    asio::co_spawn(self->stream_.get_executor(), write_loop(self), asio::detached);
    self->handler_->on_open(self);
    while (self->open_) {
      if (self->paused_) {
        self->resumed_.expires_at(asio::steady_timer::time_point::max());
        co_await self->resumed_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
        failed = {};
        continue;
      }
      beast::flat_buffer buffer;
      co_await read_message(self, buffer, failed);
      if (failed) break;
      if (self->closing_) continue;
      if (!self->stream_.got_binary()) {
        self->handler_->on_text();
        continue;
      }
      self->hand_over(buffer);
    }
    self->claim_ = nullptr;
    const bool goodbye = failed == websocket::error::closed;
    self->finish(self->closing_ ? WsHandler::Closing::kByUs
                 : goodbye      ? WsHandler::Closing::kByPeer
                                : WsHandler::Closing::kLost);
  }

  void send(std::string frame) override {
    if (closing_) return;
    outbox_bytes_ += frame.size();
    push({Item::Kind::kFrame, std::move(frame), 0});
  }
  void ping(std::string payload) override {
    if (!closing_) push({Item::Kind::kPing, std::move(payload), 0});
  }
  void close(uint16_t code, std::string reason) override {
    if (closing_) return;
    closing_ = true;
    reason.resize(std::min(reason.size(), kCloseReasonBytesMax));
    push({Item::Kind::kClose, std::move(reason), code});
    read_on_.cancel();
  }
  void abort() override {
    closing_ = true;
    error_code ignored;
    beast::get_lowest_layer(stream_).socket().close(ignored);
    wake_.cancel();
    read_on_.cancel();
    resume();
  }
  void pause() override { paused_ = true; }
  void resume() override {
    paused_ = false;
    resumed_.cancel();
  }
  uint64_t outbox_bytes() const override { return outbox_bytes_; }

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
    claim_ = budget_.claim(user, [weak = weak_from_this(), on = stream_.get_executor()] {
      asio::post(on, [weak] {
        if (const auto self = weak.lock()) self->read_on_.cancel();
      });
    });
  }
  const std::string& peer_address() const override { return peer_address_; }
  asio::any_io_executor executor() override { return stream_.get_executor(); }
  void fail() override {
    abort();
    finish(WsHandler::Closing::kLost);
  }
  void shut_down() override {
    asio::post(stream_.get_executor(),
               [self = shared_from_this()] { self->close(1001, "the server is stopping"); });
  }
  void drop() override {
    asio::post(stream_.get_executor(), [self = shared_from_this()] { self->abort(); });
  }

 private:
  struct Item {
    enum class Kind { kFrame, kPing, kClose } kind;
    std::string bytes;  ///< the message, the ping's payload or the reason
    uint16_t code;
  };

  /// False when there is no connection to speak on: what had to be said was.
  static asio::awaitable<bool> shake_hands_over_tls(Transport& transport, beast::tcp_stream& tcp) {
    constexpr size_t kPieceBytes = 4 << 10;
    beast::flat_buffer begun;
    error_code failed;
    begun.commit(co_await tcp.async_read_some(begun.prepare(kPieceBytes),
                                              asio::redirect_error(asio::use_awaitable, failed)));
    if (failed) co_return false;
    if (is_http_token({static_cast<const char*>(begun.cdata().data()), 1})) {
      tcp.expires_after(milliseconds(kFarewellMs));
      HttpRefusal refusal{400, "got plain HTTP, expected TLS: use wss://"};
      co_await send_refusal(tcp, tcp.socket(), std::move(refusal));
      co_return false;
    }
    co_await transport.async_handshake(asio::ssl::stream_base::server, begun.cdata(),
                                       asio::redirect_error(asio::use_awaitable, failed));
    co_return !failed;
  }

  void configure() {
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = milliseconds(config_.handshake_ms_max);
    timeout.idle_timeout = websocket::stream_base::none();
    timeout.keep_alive_pings = false;
    stream_.set_option(timeout);
    stream_.read_message_max(std::min(config_.frame_bytes_max, config_.stranger_frame_bytes_max));
    stream_.auto_fragment(false);
    stream_.binary(true);
    error_code ignored;
    beast::get_lowest_layer(stream_).socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    stream_.control_callback([this](websocket::frame_type kind, beast::string_view payload) {
      if (kind == websocket::frame_type::pong && !finished_)
        handler_->on_pong({payload.data(), payload.size()});
    });
  }

  /// A whole message; while its user's messages, or all, are too many bytes, it is not read on.
  static asio::awaitable<void> read_message(std::shared_ptr<Connection> self,
                                            beast::flat_buffer& buffer, error_code& failed) {
    uint64_t claimed = 0;
    for (;;) {
      if (self->closing_) buffer.clear();  // nobody hears it
      const uint64_t wanted = self->claim_ && buffer.size() >= kFreeBytes ? buffer.size() : 0;
      if (wanted > claimed && !self->closing_) {
        if (self->claim_->grow(kPieceBytes)) {
          claimed += kPieceBytes;
          continue;
        }
        error_code woken;
        self->read_on_.expires_after(milliseconds(kHeardMs));
        co_await self->read_on_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (!self->closing_) self->handler_->on_heard();
        continue;
      }
      if (!self->reserve(buffer)) continue;
      co_await self->stream_.async_read_some(buffer, kPieceBytes,
                                             asio::redirect_error(asio::use_awaitable, failed));
      if (failed || self->stream_.is_message_done()) break;
      if (!self->closing_) self->handler_->on_heard();
    }
    if (self->claim_) self->claim_->release();
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

  void push(Item item) {
    outbox_.push_back(std::move(item));
    wake_.cancel();
  }

  static asio::awaitable<void> write_loop(std::shared_ptr<Connection> self) {
    error_code failed;
    while (!failed && self->open_) {
      if (self->outbox_.empty()) {
        self->wake_.expires_at(asio::steady_timer::time_point::max());
        co_await self->wake_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
        failed = {};
        continue;
      }
      const Item item = std::move(self->outbox_.front());
      self->outbox_.pop_front();
      co_await write_item(self, item, failed);
      if (item.kind != Item::Kind::kFrame) continue;
      const bool was_full = self->outbox_bytes_ >= self->config_.outbox_low_bytes;
      self->outbox_bytes_ -= item.bytes.size();
      if (was_full && self->outbox_bytes_ < self->config_.outbox_low_bytes && !self->finished_)
        self->handler_->on_drained();
    }
    if (failed) self->abort();
  }

  static asio::awaitable<void> write_item(std::shared_ptr<Connection> self, const Item& item,
                                          error_code& failed) {
    if (item.kind == Item::Kind::kFrame) {
      co_await self->stream_.async_write(asio::buffer(item.bytes),
                                         asio::redirect_error(asio::use_awaitable, failed));
    } else if (item.kind == Item::Kind::kPing) {
      co_await self->stream_.async_ping(websocket::ping_data(item.bytes.data(), item.bytes.size()),
                                        asio::redirect_error(asio::use_awaitable, failed));
    } else {
      const websocket::close_reason reason(
          static_cast<websocket::close_code>(item.code),
          beast::string_view(item.bytes.data(), item.bytes.size()));
      co_await self->stream_.async_close(reason, asio::redirect_error(asio::use_awaitable, failed));
      failed = asio::error::operation_aborted;
    }
  }

  void finish(WsHandler::Closing closing) {
    open_ = false;
    closing_ = true;
    wake_.cancel();
    if (!finished_) {
      finished_ = true;
      handler_->on_closed(closing);
    }
    handler_.reset();
  }

  const WsServerConfig& config_;
  websocket::stream<Transport> stream_;
  asio::steady_timer wake_;     ///< cancelled when the outbox gets something
  asio::steady_timer resumed_;  ///< cancelled when reading goes on
  asio::steady_timer read_on_;  ///< cancelled when a message that waits may grow
  ReceiveBudget& budget_;
  std::shared_ptr<WsHandler> handler_;
  const std::string peer_address_;
  std::unique_ptr<Shares::Place> place_;         ///< until set_known()
  std::unique_ptr<ReceiveBudget::Claim> claim_;  ///< from then on
  std::deque<Item> outbox_;
  uint64_t outbox_bytes_ = 0;
  bool open_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool finished_ = false;
};

class Server final : public WsServer {
 public:
  Server(const WsServerConfig& config, Accept accept)
      : config_(config), accept_(std::move(accept)), acceptor_(asio::make_strand(io_)) {}
  ~Server() override { stop(0); }

  /// Reads certificate and key.
  Result<void> prepare_tls() {
    if (config_.tls_certificate.empty() && config_.tls_key.empty()) return {};
    if (config_.tls_certificate.empty() || config_.tls_key.empty())
      return Error{ErrorCode::kInvalidArgument,
                   "[tls] got a certificate or a key alone, expected both"};
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                      asio::ssl::context::no_tlsv1_1);
    error_code failed;
    tls_->use_certificate_chain_file(config_.tls_certificate, failed);
    if (failed) return unusable("certificate", config_.tls_certificate, failed);
    tls_->use_private_key_file(config_.tls_key, asio::ssl::context::pem, failed);
    if (failed) return unusable("key", config_.tls_key, failed);
    return {};
  }

  Result<void> bind() {
    error_code failed;
    asio::ip::tcp::resolver resolver(io_);
    const std::string host(without_brackets(config_.host));
    const auto found = resolver.resolve(host, std::to_string(config_.port), failed);
    if (failed || found.empty()) return refused(failed);
    const asio::ip::tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
    if (failed) return refused(failed);
    port_ = acceptor_.local_endpoint().port();
    return {};
  }

  void start() {
    asio::co_spawn(acceptor_.get_executor(), accept_loop(*this), asio::detached);
    start_threads(
        threads_, std::max(1U, config_.thread_count), [this] { run_handlers(io_); },
        [this] { io_.stop(); });
  }

  uint16_t port() const override { return port_; }

  void post_after(uint64_t delay_ms, std::function<void()> task) override {
    auto timer = std::make_shared<asio::steady_timer>(io_, milliseconds(delay_ms));
    timer->async_wait([timer, run_task = std::move(task)](error_code failed) {
      if (!failed) run_task();
    });
  }

  void stop(uint64_t drain_ms_max) override {
    if (stopped_.exchange(true)) return;
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    for_each_live([](AnyConnection& one) { one.shut_down(); });
    if (!live_.wait_for_none(drain_ms_max)) {
      for_each_live([](AnyConnection& one) { one.drop(); });
      live_.wait_for_none(1'000);
    }
    io_.stop();
    for (auto& thread : threads_) thread.join();
  }

 private:
  static Error unusable(std::string_view what, const std::string& file, const error_code& failed) {
    return {ErrorCode::kInvalidArgument, "[tls " + std::string(what) + "] got " + file + " (" +
                                             failed.message() +
                                             "), expected a PEM file that belongs to its pair"};
  }
  Error refused(const error_code& failed) const {
    return {ErrorCode::kUnavailable,
            "[listen on " + config_.host + ":" + std::to_string(config_.port) +
                "] got: " + failed.message() + "; choose another --host or --port"};
  }

  static asio::awaitable<void> accept_loop(Server& self) {
    while (!self.stopped_) {
      error_code failed;
      if (self.live_.count() >= self.config_.connections_max) {
        asio::steady_timer pause(self.acceptor_.get_executor(), milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failed));
        continue;
      }
      auto socket = co_await self.acceptor_.async_accept(
          asio::make_strand(self.io_), asio::redirect_error(asio::use_awaitable, failed));
      if (self.stopped_) co_return;
      if (failed) {  // out of descriptors, or a client that left at once
        log::warning("accept: {}", failed.message());
        asio::steady_timer pause(self.acceptor_.get_executor(), milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failed));
        continue;
      }
      auto place = self.strangers_.enter(address_of(socket));
      if (!place) continue;  // the socket's destructor drops it
      if (self.tls_) {
        self.serve<Secure>(Secure(beast::tcp_stream(std::move(socket)), *self.tls_),
                           std::move(place));
      } else {
        self.serve<Plain>(Plain(std::move(socket)), std::move(place));
      }
    }
  }

  template <class Transport>
  void serve(Transport transport, std::unique_ptr<Shares::Place> place) {
    auto connection = std::make_shared<Connection<Transport>>(std::move(transport), config_,
                                                              accept_(), std::move(place), budget_);
    adopt(connection);
    asio::co_spawn(connection->executor(), Connection<Transport>::run(connection),
                   [this, connection](std::exception_ptr failure) {
                     if (failure) connection->fail();
                     live_.leave();
                   });
  }

  void adopt(const std::shared_ptr<AnyConnection>& connection) {
    live_.enter();
    const std::lock_guard lock(mutex_);
    connections_.remove_if([](const auto& one) { return one.expired(); });
    connections_.push_back(connection);
  }

  template <class Function>
  void for_each_live(Function function) {
    const std::lock_guard lock(mutex_);
    for (auto& weak : connections_)
      if (const auto one = weak.lock()) function(*one);
  }

  const WsServerConfig config_;
  const Accept accept_;
  std::optional<asio::ssl::context> tls_;
  // These outlive the connections, in io_.
  Shares strangers_{config_.strangers_per_address_max};
  ReceiveBudget budget_{config_.user_receive_bytes_max, config_.total_receive_bytes_max};
  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_;
  uint16_t port_ = 0;
  std::atomic<bool> stopped_ = false;
  LiveCount live_;
  std::mutex mutex_;
  std::list<std::weak_ptr<AnyConnection>> connections_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<WsServer>> WsServer::listen(const WsServerConfig& config, Accept accept) {
  PIE_TRY(check_origins(config.origins));
  auto server = std::make_unique<Server>(config, std::move(accept));
  PIE_TRY(server->prepare_tls());
  PIE_TRY(server->bind());
  server->start();
  return std::unique_ptr<WsServer>(std::move(server));
}

}  // namespace pie::net
