#include "net/ws_client.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "net/io_context.h"
#include "net/tls.h"
#include "net/ws_outbox.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;

constexpr size_t kAnswerShownMax = 200;
constexpr uint64_t kHeartbeatMs = 1'000;

Error unavailable(std::string message) {
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

uint64_t count_ms(std::chrono::milliseconds time) { return static_cast<uint64_t>(time.count()); }

}  // namespace

/// Shared with the operations in flight, which outlive the WsClient by their last completion.
class WsClient::Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::io_context& io, const WsUrl& url, const Options& options, Handlers handlers)
      : url_(url),
        options_(options),
        handlers_(std::move(handlers)),
        resolver_(io),
        stream_(asio::ip::tcp::socket(io)),
        outbox_(stream_, kLowWaterBytes, [this] { drained(); }),
        deadline_(stream_.get_executor()),
        heartbeat_(stream_.get_executor()),
        resumed_(stream_.get_executor()) {}

  void start() {
    const auto self = shared_from_this();
    deadline_.arm(count_ms(options_.connect_timeout), [self] {
      self->finish(unavailable(fmt::format("no answer from {} within {} ms", self->peer(),
                                           self->options_.connect_timeout.count())));
    });
    spawn(run(), "reading");
  }
  void send(std::string frame) {
    if (!finished_ && !closing_) outbox_.push(std::move(frame));
  }
  size_t queued_bytes() const { return outbox_.bytes(); }
  void pause() { paused_ = true; }
  void resume() {
    paused_ = false;
    resumed_.set();
  }
  void close() {
    if (finished_ || closing_) return;
    closing_ = true;
    if (!open_) return finish(unavailable("the connection was closed"));
    outbox_.close(websocket::close_code::normal, "");
    deadline_.arm(count_ms(options_.close_timeout), [self = shared_from_this()] {
      self->finish(unavailable("the connection was closed"));
    });
  }
  /// Lets every operation in flight end; no handler is called any more.
  void abandon() {
    if (std::exchange(finished_, true)) return;
    handlers_ = {};
    outbox_.stop();
    deadline_.disarm();
    heartbeat_.disarm();
    resumed_.set();
    resolver_.cancel();
    stream_.next_layer().close();
  }

 private:
  using Endpoints = asio::ip::tcp::resolver::results_type;

  std::string peer() const { return url_.host + ":" + url_.port; }

  /// The last word: tells on_closed once.
  void finish(Error error) {
    if (finished_) return;
    const auto on_closed = std::move(handlers_.on_closed);
    abandon();
    if (on_closed) on_closed(std::move(error));
  }
  void finish_connect(std::string_view step, const error_code& failed) {
    finish(unavailable(fmt::format("cannot {} {}: {}", step, peer(), failed.message())));
  }
  void finish_tls(const error_code& failed) {
    const auto why = tls_failure(stream_.next_layer().secure()->native_handle(), failed,
                                 "ca_file (--ca-file, PIE_CA_FILE)", "ws://");
    finish(unavailable(fmt::format("cannot make a secure connection to {}: {}", peer(), why.text)));
  }
  void finish_handshake(const websocket::response_type& answer, const error_code& failed);
  void finish_io(std::string_view step, const error_code& failed);

  /// What dies of an exception (there is no memory) ends the connection.
  void spawn(asio::awaitable<void> task, std::string_view step) {
    asio::co_spawn(stream_.get_executor(), std::move(task),
                   [self = shared_from_this(), step](const std::exception_ptr& died) {
                     if (died) self->finish_io(step, make_error_code(std::errc::not_enough_memory));
                   });
  }

  asio::awaitable<void> run();
  asio::awaitable<void> connect();
  asio::awaitable<void> resolve(Endpoints& found);
  asio::awaitable<void> secure();
  asio::awaitable<void> shake_hands();
  asio::awaitable<void> read_frames();
  asio::awaitable<void> write_frames();
  asio::awaitable<void> rest();
  void beat();

  /// A peer that is silent for so long is gone; Beast takes it up with the next read.
  void watch_silence(std::chrono::steady_clock::duration longest) {
    stream_.set_option(websocket::stream_base::timeout{options_.connect_timeout, longest,
                                                       longest != websocket::stream_base::none()});
  }
  void drained() {
    const auto on_drained = handlers_.on_drained;
    if (on_drained) on_drained();
  }

  const WsUrl url_;
  const Options options_;
  Handlers handlers_;
  std::shared_ptr<asio::ssl::context> tls_;  ///< null over plain TCP; outlives stream_
  asio::ip::tcp::resolver resolver_;
  WsStream stream_;
  WsOutbox outbox_;
  Deadline deadline_, heartbeat_;
  Signal resumed_;
  bool open_ = false;
  bool closing_ = false;
  bool finished_ = false;
  bool paused_ = false;  ///< no further read is to begin
};

asio::awaitable<void> WsClient::Connection::run() {
  co_await connect();
  if (!finished_ && url_.tls) co_await secure();
  if (!finished_) co_await shake_hands();
  if (finished_) co_return;
  deadline_.disarm();
  open_ = true;
  spawn(write_frames(), "writing");
  const auto on_open = handlers_.on_open;
  if (on_open) on_open();
  co_await read_frames();
}

asio::awaitable<void> WsClient::Connection::resolve(Endpoints& found) {
  // An address is not looked up: that takes a thread, and locks that stay taken in the child of a
  // fork.
  error_code failed;
  const auto address = asio::ip::make_address(url_.host, failed);
  if (!failed) {
    const auto port = static_cast<uint16_t>(std::stoul(url_.port));
    found = Endpoints::create({address, port}, url_.host, url_.port);
    co_return;
  }
  found = co_await resolver_.async_resolve(url_.host, url_.port,
                                           asio::redirect_error(asio::use_awaitable, failed));
  if (failed) finish_connect("resolve", failed);
}

asio::awaitable<void> WsClient::Connection::connect() {
  Endpoints found;
  co_await resolve(found);
  if (finished_) co_return;
  error_code failed;
  auto& socket = stream_.next_layer().socket();
  co_await asio::async_connect(socket, found, asio::redirect_error(asio::use_awaitable, failed));
  if (finished_) co_return;
  if (failed) co_return finish_connect("connect to", failed);
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
}

asio::awaitable<void> WsClient::Connection::secure() {
  auto tls = client_tls(options_.ca_file, "ca_file");
  if (!tls.ok()) co_return finish(std::move(tls).error());
  tls_ = std::move(*tls);
  Transport::Secure& secure = stream_.next_layer().add_tls(*tls_);
  expect_tls_peer(secure.native_handle(), url_.host);
  error_code failed;
  co_await secure.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, failed));
  if (failed && !finished_) finish_tls(failed);
}

asio::awaitable<void> WsClient::Connection::shake_hands() {
  watch_silence(options_.silence_timeout);
  stream_.read_message_max(options_.frame_bytes_max);
  stream_.binary(true);
  stream_.auto_fragment(false);
  const bool is_v6 = url_.host.find(':') != std::string::npos;
  const std::string host = is_v6 ? fmt::format("[{}]:{}", url_.host, url_.port) : peer();
  websocket::response_type answer;
  error_code failed;
  co_await stream_.async_handshake(answer, host, url_.target,
                                   asio::redirect_error(asio::use_awaitable, failed));
  if (failed && !finished_) finish_handshake(answer, failed);
}

void WsClient::Connection::finish_handshake(const websocket::response_type& answer,
                                            const error_code& failed) {
  const auto finish_by = [&](std::string_view why) {
    finish(unavailable(fmt::format("cannot open a WebSocket on {}: {}", peer(), why)));
  };
  if (failed == websocket::error::upgrade_declined) {
    const std::string said = to_utf8(answer.body().substr(0, kAnswerShownMax));
    return finish_by(fmt::format("the server answered {}: {}", answer.result_int(),
                                 said.substr(0, said.find_first_of("\r\n"))));
  }
  const bool is_cut = failed == beast::http::error::end_of_stream || failed == asio::error::eof ||
                      failed == asio::error::connection_reset || failed == websocket::error::closed;
  if (!url_.tls && is_cut)
    return finish_by(
        "it closed the connection without an answer; if the port speaks TLS, use wss://");
  // A TLS server answers with an alert, which is no HTTP.
  if (!url_.tls && failed == beast::http::error::bad_version)
    return finish_by("it does not answer in HTTP; if the port speaks TLS, use wss://");
  finish_connect("open a WebSocket on", failed);
}

void WsClient::Connection::finish_io(std::string_view step, const error_code& failed) {
  if (failed == websocket::error::closed) {
    const auto& reason = stream_.reason();
    const std::string_view text(reason.reason.data(), reason.reason.size());
    return finish(unavailable(closing_ ? "the connection was closed"
                                       : fmt::format("the server closed the connection ({}{}{})",
                                                     static_cast<unsigned>(reason.code),
                                                     text.empty() ? "" : ": ", text)));
  }
  if (failed == beast::error::timeout)
    return finish(unavailable(fmt::format("the connection to {} was lost: silent for {} ms", peer(),
                                          options_.silence_timeout.count())));
  finish(unavailable(
      fmt::format("the connection to {} was lost: {} ({})", peer(), failed.message(), step)));
}

asio::awaitable<void> WsClient::Connection::read_frames() {
  beast::flat_buffer inbox;
  while (!finished_) {
    error_code failed;
    co_await stream_.async_read(inbox, asio::redirect_error(asio::use_awaitable, failed));
    if (finished_) co_return;
    if (failed) co_return finish_io("reading", failed);
    const auto bytes = inbox.cdata();
    const auto on_frame = handlers_.on_frame;
    Result<void> taken =
        on_frame(std::string_view(static_cast<const char*>(bytes.data()), bytes.size()));
    if (finished_) co_return;
    if (!taken.ok()) co_return finish(std::move(taken).error());
    inbox.consume(inbox.size());
    if (paused_) co_await rest();
  }
}

/// Until resume().
asio::awaitable<void> WsClient::Connection::rest() {
  watch_silence(websocket::stream_base::none());
  beat();
  while (paused_ && !finished_) co_await resumed_.wait();
  heartbeat_.disarm();
  if (!finished_) watch_silence(options_.silence_timeout);
}

void WsClient::Connection::beat() {
  heartbeat_.arm(kHeartbeatMs, [self = shared_from_this()] {
    self->outbox_.pong();
    self->beat();
  });
}

asio::awaitable<void> WsClient::Connection::write_frames() {
  const error_code ended = co_await outbox_.run();
  if (ended == websocket::error::closed)
    finish(unavailable("the connection was closed"));
  else
    finish_io("writing", ended);
}

Result<void> WsClient::check(const WsUrl& url, const Options& options) {
  if (url.tls) PIE_TRY(client_tls(options.ca_file, "ca_file"));
  return {};
}

WsClient::WsClient(asio::io_context& io, const WsUrl& url, const Options& options,
                   Handlers handlers)
    : connection_(std::make_shared<Connection>(io, url, options, std::move(handlers))) {
  connection_->start();
}

WsClient::~WsClient() { connection_->abandon(); }

void WsClient::send(std::string frame) { connection_->send(std::move(frame)); }
size_t WsClient::queued_bytes() const { return connection_->queued_bytes(); }
void WsClient::pause() { connection_->pause(); }
void WsClient::resume() { connection_->resume(); }
void WsClient::close() { connection_->close(); }

}  // namespace pie::net
