#include "net/ws_client.h"

#include <fmt/format.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/http.h"
#include "base/utf8.h"
#include "net/tls.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;

Error unavailable(std::string message) {
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

}  // namespace

Result<WsUrl> parse_ws_url(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[server address] got '{}', expected ws://HOST:PORT: {}", text, why)};
  };
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return wrong("it has a space or a control character");
  WsUrl url;
  const size_t scheme = text.find("://");
  const std::string name = lower_case(text.substr(0, scheme));
  if (scheme == text.npos || (name != "ws" && name != "wss"))
    return wrong("it must begin with ws:// or wss://");
  url.tls = name == "wss";
  std::string_view rest = text.substr(scheme + 3);
  if (rest.find('#') != rest.npos) return wrong("it has a #fragment, which no server ever sees");
  if (const size_t end = rest.find_first_of("/?"); end != rest.npos) {
    url.target = rest.substr(end);
    if (url.target.front() != '/') url.target.insert(0, "/");
    rest = rest.substr(0, end);
  }
  if (rest.find('@') != rest.npos)
    return wrong("it has a user before the @, who signs in otherwise (--user, authenticate)");
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos)
      return wrong("the bracket of its IPv6 address is not closed");
    url.host = rest.substr(1, end - 1);
    rest = rest.substr(end + 1);
  } else {
    const size_t colon = rest.find(':');
    url.host = rest.substr(0, colon);
    rest = colon == std::string_view::npos ? "" : rest.substr(colon);
  }
  if (url.host.empty()) return wrong("it names no host");
  if (!rest.empty() && rest.front() != ':') return wrong("something follows its closing bracket");
  url.port = url.tls ? "443" : "80";
  if (rest.empty()) return url;
  rest.remove_prefix(1);
  if (rest.empty() || rest.size() > 5 ||
      rest.find_first_not_of("0123456789") != std::string_view::npos ||
      std::stoul(std::string(rest)) > 65'535) {
    return wrong("its port is not a number up to 65535");
  }
  url.port = rest;
  return url;
}

/// A connection, whatever it speaks over.
class WsClient::Connection {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  virtual void send(std::string frame) = 0;
  virtual size_t queued_bytes() const = 0;
  virtual void pause() = 0;
  virtual void resume() = 0;
  virtual void close() = 0;
  virtual void abandon() = 0;
};

namespace {

using Plain = beast::tcp_stream;
using Secure = beast::ssl_stream<beast::tcp_stream>;

/// Trusts the system's authorities and those of `ca_file`.
Result<std::shared_ptr<asio::ssl::context>> make_tls(const std::string& ca_file) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  tls->set_verify_mode(asio::ssl::verify_peer);
  error_code failed;
  tls->set_default_verify_paths(failed);
  if (!ca_file.empty()) {
    tls->load_verify_file(ca_file, failed);
    if (failed)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[ca_file] got {} ({}), expected a PEM file of certificates",
                               ca_file, failed.message())};
  }
  return tls;
}

/// Shared with the operations in flight, which outlive the WsClient by their last completion.
template <class Transport>
class ConnectionOver final : public WsClient::Connection,
                             public std::enable_shared_from_this<ConnectionOver<Transport>> {
  using Options = WsClient::Options;
  using Handlers = WsClient::Handlers;
  static constexpr size_t kAnswerShownMax = 200;
  static constexpr size_t kLowWaterBytes = WsClient::kLowWaterBytes;
  using Endpoints = asio::ip::tcp::resolver::results_type;
  static constexpr bool kIsSecure = std::is_same_v<Transport, Secure>;

 public:
  using std::enable_shared_from_this<ConnectionOver<Transport>>::shared_from_this;

  template <class... Argument>
  ConnectionOver(asio::io_context& io, const WsUrl& url, const Options& options, Handlers handlers,
                 std::shared_ptr<asio::ssl::context> tls, Argument&&... argument)
      : url_(url),
        options_(options),
        handlers_(std::move(handlers)),
        tls_(std::move(tls)),
        resolver_(io),
        socket_(io, std::forward<Argument>(argument)...),
        timer_(io),
        heartbeat_(io) {}

  void start() override {
    timer_.expires_after(options_.connect_timeout);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (ec) return;
      self->finish(unavailable(fmt::format("no answer from {} within {} ms", self->peer(),
                                           self->options_.connect_timeout.count())));
    });
    // An address is not looked up: that takes a thread, and locks that stay taken in the child of
    // a fork.
    error_code is_name;
    const auto address = asio::ip::make_address(url_.host, is_name);
    if (!is_name) {
      const auto port = static_cast<uint16_t>(std::stoul(url_.port));
      return connect(Endpoints::create({address, port}, url_.host, url_.port));
    }
    resolver_.async_resolve(url_.host, url_.port,
                            [self = shared_from_this()](error_code ec, auto endpoints) {
                              if (self->finished_) return;
                              if (ec) return self->finish_connect("resolve", ec);
                              self->connect(endpoints);
                            });
  }

  void send(std::string frame) override {
    if (finished_ || closing_) return;
    queued_bytes_ += frame.size();
    outbox_.push_back(std::move(frame));
    if (open_ && !writing_) write_next();
  }

  size_t queued_bytes() const override { return queued_bytes_; }

  void pause() override { paused_ = true; }

  void resume() override {
    paused_ = false;
    if (!std::exchange(resting_, false) || finished_ || closing_) return;
    heartbeat_.cancel();
    watch_silence(options_.silence_timeout);
    read_next();
  }

  void close() override {
    if (finished_ || closing_) return;
    closing_ = true;
    if (!open_) return finish(unavailable("the connection was closed"));
    timer_.expires_after(options_.close_timeout);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec) self->finish(unavailable("the connection was closed"));
    });
    if (!writing_) send_close();
  }

  /// The last word: tells on_closed once and lets every operation in flight end.
  void finish(Error error) {
    if (finished_) return;
    auto on_closed = std::move(handlers_.on_closed);
    abandon();
    if (on_closed) on_closed(std::move(error));
  }

  void abandon() override {
    if (std::exchange(finished_, true)) return;
    handlers_ = {};
    outbox_.clear();
    queued_bytes_ = 0;
    timer_.cancel();
    heartbeat_.cancel();
    resolver_.cancel();
    beast::get_lowest_layer(socket_).close();
  }

 private:
  std::string peer() const { return url_.host + ":" + url_.port; }

  void finish_connect(std::string_view step, error_code ec) {
    finish(unavailable(fmt::format("cannot {} {}: {}", step, peer(), ec.message())));
  }

  void finish_io(std::string_view step, error_code ec) {
    if (ec == websocket::error::closed) {
      const auto& reason = socket_.reason();
      const std::string_view text(reason.reason.data(), reason.reason.size());
      return finish(unavailable(closing_ ? "the connection was closed"
                                         : fmt::format("the server closed the connection ({}{}{})",
                                                       static_cast<unsigned>(reason.code),
                                                       text.empty() ? "" : ": ", text)));
    }
    if (ec == beast::error::timeout) {
      return finish(unavailable(fmt::format("the connection to {} was lost: silent for {} ms",
                                            peer(), options_.silence_timeout.count())));
    }
    finish(unavailable(
        fmt::format("the connection to {} was lost: {} ({})", peer(), ec.message(), step)));
  }

  void connect(const Endpoints& endpoints) {
    beast::get_lowest_layer(socket_).async_connect(
        endpoints, [self = shared_from_this()](error_code ec, const asio::ip::tcp::endpoint&) {
          if (self->finished_) return;
          if (ec) return self->finish_connect("connect to", ec);
          self->secure();
        });
  }

  void secure() {
    if constexpr (kIsSecure) {
      auto& secure = socket_.next_layer();
      expect_tls_peer(secure.native_handle(), url_.host);
      secure.async_handshake(asio::ssl::stream_base::client,
                             [self = shared_from_this()](error_code ec) {
                               if (self->finished_) return;
                               if (ec) return self->finish_secure(ec);
                               self->shake_hands();
                             });
    } else {
      shake_hands();
    }
  }

  void shake_hands() {
    error_code ignored;
    beast::get_lowest_layer(socket_).socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    watch_silence(options_.silence_timeout);
    socket_.read_message_max(options_.frame_bytes_max);
    socket_.binary(true);
    socket_.auto_fragment(false);
    const std::string host = url_.host.find(':') == std::string::npos
                                 ? peer()
                                 : fmt::format("[{}]:{}", url_.host, url_.port);
    socket_.async_handshake(answer_, host, url_.target, [self = shared_from_this()](error_code ec) {
      if (self->finished_) return;
      if (ec) return self->finish_handshake(ec);
      self->opened();
    });
  }

  void finish_secure(error_code ec) {
    if constexpr (kIsSecure) {
      const auto why = tls_failure(socket_.next_layer().native_handle(), ec,
                                   "ca_file (--ca-file, PIE_CA_FILE)", "ws://");
      finish(
          unavailable(fmt::format("cannot make a secure connection to {}: {}", peer(), why.text)));
    }
  }

  void finish_handshake(error_code ec) {
    const auto failed = [&](std::string_view why) {
      finish(unavailable(fmt::format("cannot open a WebSocket on {}: {}", peer(), why)));
    };
    if (ec == websocket::error::upgrade_declined) {
      const std::string said = to_utf8(answer_.body().substr(0, kAnswerShownMax));
      return failed(fmt::format("the server answered {}: {}", answer_.result_int(),
                                said.substr(0, said.find_first_of("\r\n"))));
    }
    const bool is_cut = ec == beast::http::error::end_of_stream || ec == asio::error::eof ||
                        ec == asio::error::connection_reset || ec == websocket::error::closed;
    if (!kIsSecure && is_cut)
      return failed(
          "it closed the connection without an answer; if the port speaks TLS, use wss://");
    // A TLS server answers with an alert, which is no HTTP.
    if (!kIsSecure && ec == beast::http::error::bad_version)
      return failed("it does not answer in HTTP; if the port speaks TLS, use wss://");
    finish_connect("open a WebSocket on", ec);
  }

  /// A peer that is silent for so long is gone; Beast takes it up with the next read.
  void watch_silence(std::chrono::steady_clock::duration longest) {
    socket_.set_option(websocket::stream_base::timeout{options_.connect_timeout, longest,
                                                       longest != websocket::stream_base::none()});
  }

  void rest() {
    resting_ = true;
    watch_silence(websocket::stream_base::none());
    beat();
  }

  void beat() {
    heartbeat_.expires_after(std::chrono::seconds(1));
    heartbeat_.async_wait([self = shared_from_this()](error_code ec) {
      if (ec || self->finished_ || !self->resting_) return;
      self->beat();
      if (std::exchange(self->ponging_, true)) return;
      self->socket_.async_pong({}, [self](error_code failed) {
        self->ponging_ = false;
        if (failed && !self->finished_) self->finish_io("writing", failed);
      });
    });
  }

  void opened() {
    timer_.cancel();
    open_ = true;
    read_next();
    if (handlers_.on_open) {
      const auto on_open = handlers_.on_open;
      on_open();
    }
    if (!finished_ && !writing_ && !outbox_.empty()) write_next();
  }

  void read_next() {
    socket_.async_read(inbox_, [self = shared_from_this()](error_code ec, size_t) {
      if (self->finished_) return;
      if (ec) return self->finish_io("reading", ec);
      const auto bytes = self->inbox_.cdata();
      const auto on_frame = self->handlers_.on_frame;
      Result<void> taken =
          on_frame(std::string_view(static_cast<const char*>(bytes.data()), bytes.size()));
      if (self->finished_) return;
      if (!taken.ok()) return self->finish(std::move(taken).error());
      self->inbox_.consume(self->inbox_.size());
      if (self->paused_) return self->rest();
      self->read_next();
    });
  }

  void write_next() {
    writing_ = true;
    socket_.async_write(asio::buffer(outbox_.front()),
                        [self = shared_from_this()](error_code ec, size_t) {
                          if (self->finished_) return;
                          if (ec) return self->finish_io("writing", ec);
                          self->written();
                        });
  }

  void written() {
    const size_t before = queued_bytes_;
    queued_bytes_ -= outbox_.front().size();
    outbox_.pop_front();
    writing_ = false;
    if (before >= kLowWaterBytes && queued_bytes_ < kLowWaterBytes && handlers_.on_drained) {
      const auto on_drained = handlers_.on_drained;
      on_drained();
    }
    if (finished_ || writing_) return;
    if (!outbox_.empty()) return write_next();
    if (closing_) send_close();
  }

  void send_close() {
    socket_.async_close(websocket::close_code::normal, [self = shared_from_this()](error_code) {
      self->finish(unavailable("the connection was closed"));
    });
  }

  const WsUrl url_;
  const Options options_;
  Handlers handlers_;
  const std::shared_ptr<asio::ssl::context> tls_;  ///< null over plain TCP
  asio::ip::tcp::resolver resolver_;
  websocket::stream<Transport> socket_;
  asio::steady_timer timer_;
  websocket::response_type answer_;  ///< to the handshake
  asio::steady_timer heartbeat_;
  beast::flat_buffer inbox_;
  std::deque<std::string> outbox_;
  size_t queued_bytes_ = 0;
  bool open_ = false;
  bool writing_ = false;
  bool closing_ = false;
  bool finished_ = false;
  bool paused_ = false;   ///< no further read is to begin
  bool resting_ = false;  ///< and none is under way
  bool ponging_ = false;
};

}  // namespace

Result<void> WsClient::check(const WsUrl& url, const Options& options) {
  if (url.tls) PIE_TRY(make_tls(options.ca_file));
  return {};
}

WsClient::WsClient(asio::io_context& io, const WsUrl& url, const Options& options,
                   Handlers handlers) {
  if (!url.tls) {
    connection_ =
        std::make_shared<ConnectionOver<Plain>>(io, url, options, std::move(handlers), nullptr);
  } else {
    auto tls = make_tls(options.ca_file);
    auto context =
        tls.ok() ? *tls : std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    if (!tls.ok()) context->set_verify_mode(asio::ssl::verify_peer);  // trusts nobody
    connection_ = std::make_shared<ConnectionOver<Secure>>(io, url, options, std::move(handlers),
                                                           context, *context);
  }
  connection_->start();
}

WsClient::~WsClient() { connection_->abandon(); }

void WsClient::send(std::string frame) { connection_->send(std::move(frame)); }
size_t WsClient::queued_bytes() const { return connection_->queued_bytes(); }
void WsClient::pause() { connection_->pause(); }
void WsClient::resume() { connection_->resume(); }
void WsClient::close() { connection_->close(); }

}  // namespace pie::net
