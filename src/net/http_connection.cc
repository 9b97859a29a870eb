#include "net/http_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "net/http_exchange.h"
#include "net/http_text.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 << 10;
constexpr unsigned kHttp10 = 10;
/// How often a connection whose request is being served is asked whether its peer is still there.
constexpr uint64_t kWatchMs = 250;
/// What is left of a request's body after its answer is read and forgotten, within these bounds: a
/// connection that is closed with unread bytes takes the answer with it (RFC 9112, section 9.6).
constexpr uint64_t kLingerBytesMax = 1 << 20;
constexpr uint64_t kLingerMs = 1'000;

HttpFields fields_of(const http::fields& from) {
  HttpFields fields;
  for (const auto& one : from) {
    const std::string name(one.name_string().data(), one.name_string().size());
    if (!is_connection_field(name))
      fields.emplace_back(name, std::string(one.value().data(), one.value().size()));
  }
  return fields;
}

uint16_t status_of(const error_code& failed) {
  if (failed == http::error::header_limit || failed == http::error::buffer_overflow) return 431;
  if (failed == http::error::body_limit) return 413;
  return 400;
}

/// Whether the failure is about what came, not about the socket.
bool is_bad_request(const error_code& failed) {
  return failed.category() == http::make_error_code(http::error::bad_method).category() &&
         failed != http::error::end_of_stream && failed != http::error::partial_message &&
         failed != http::error::need_buffer;
}

}  // namespace

HttpConnection::HttpConnection(Socket socket, const HttpServerConfig& config,
                               HttpServer::Handler handler)
    : socket_(std::move(socket)),
      config_(config),
      handler_(std::move(handler)),
      buffer_(config.header_bytes_max + kReadBytes),
      answer_signal_(socket_.get_executor()),
      body_signal_(socket_.get_executor()),
      read_deadline_(socket_.get_executor()),
      write_deadline_(socket_.get_executor()),
      watch_(socket_.get_executor()),
      on_chunk_header_([this](uint64_t, std::string_view extensions, error_code& failed) {
        extension_bytes_ += extensions.size();
        if (extension_bytes_ > config_.header_bytes_max) failed = http::error::bad_chunk_extension;
      }) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

HttpConnection::~HttpConnection() = default;

std::function<void()> HttpConnection::waker() {
  return [weak = weak_from_this(), on = executor()] {
    asio::post(on, [weak] {
      const auto self = weak.lock();
      if (!self) return;
      self->answer_signal_.set();
      self->body_signal_.set();
    });
  };
}

void HttpConnection::drop() {
  asio::post(executor(), [self = shared_from_this()] { self->close(); });
}

void HttpConnection::close() {
  closed_ = true;
  error_code ignored;
  socket_.close(ignored);
  answer_signal_.set();
  body_signal_.set();
}

asio::awaitable<void> HttpConnection::run(std::shared_ptr<HttpConnection> self) {
  bool goes_on = true;
  while (goes_on && !self->closed_) {
    goes_on = co_await read_head(self);
    if (!goes_on) break;
    auto head = self->request_head();
    if (!head) {
      HttpRefusal refusal{400, "got a request without a valid target or Host"};
      co_await refuse(self, std::move(refusal));
      break;
    }
    goes_on = co_await serve(self, std::move(*head));
  }
  self->close();
}

asio::awaitable<bool> HttpConnection::read_head(std::shared_ptr<HttpConnection> self) {
  error_code failed;
  const auto expired = [self] { self->close(); };
  if (self->buffer_.size() == 0) {
    self->read_deadline_.arm(
        self->is_first_ ? self->config_.header_ms_max : self->config_.idle_ms_max, expired);
    const auto got = co_await self->socket_.async_read_some(
        self->buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return false;
    self->buffer_.commit(got);
  }
  self->is_first_ = false;
  self->read_deadline_.arm(self->config_.header_ms_max, expired);
  HeadRead head =
      co_await read_http_head(self->socket_, self->buffer_, self->config_.header_bytes_max, false);
  self->read_deadline_.disarm();
  if (head.failed || self->closed_) co_return false;
  if (!head.refusal) head.refusal = self->parse_head(head.text);
  if (head.refusal) co_await refuse(self, std::move(*head.refusal));
  co_return !head.refusal;
}

std::optional<HttpRefusal> HttpConnection::parse_head(const std::string& text) {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(config_.header_bytes_max));
  parser_->body_limit(config_.body_bytes_max);
  parser_->on_chunk_header(on_chunk_header_);
  extension_bytes_ = 0;
  error_code failed;
  parser_->put(asio::buffer(text), failed);
  if (failed) return HttpRefusal{status_of(failed), "got a bad request: " + failed.message()};
  return framing_fault(parser_->get(), parser_->get().version());
}

std::optional<HttpRequestHead> HttpConnection::request_head() const {
  const auto& message = parser_->get();
  HttpRequestHead head;
  head.method = std::string(message.method_string().data(), message.method_string().size());
  head.target = std::string(message.target().data(), message.target().size());
  head.fields = fields_of(message);
  const size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() > kHttp10)) return std::nullopt;
  if (hosts > 0) head.authority = std::string(message[http::field::host]);
  constexpr std::string_view kAbsolute = "http://";
  if (lower_case(head.target.substr(0, kAbsolute.size())) == kAbsolute) {
    // absolute-form (RFC 9112, section 3.2.2)
    const size_t path =
        std::min(head.target.find_first_of("/?", kAbsolute.size()), head.target.size());
    head.authority = head.target.substr(kAbsolute.size(), path - kAbsolute.size());
    head.target.erase(0, path);
    if (!head.target.starts_with('/')) head.target.insert(0, "/");
  }
  if (!is_http_authority(head.authority)) return std::nullopt;
  const bool is_asterisk = head.target == "*" && head.method == "OPTIONS";
  if (!is_asterisk && !is_http_target(head.target)) return std::nullopt;
  return head;
}

asio::awaitable<bool> HttpConnection::serve(std::shared_ptr<HttpConnection> self,
                                            HttpRequestHead head) {
  const auto& message = self->parser_->get();
  const bool waits = boost::beast::iequals(message[http::field::expect], "100-continue");
  if (waits && message.version() > kHttp10)
    if (!co_await write(self, "HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  auto exchange = std::make_shared<HttpExchangeImpl>(std::move(head), self->waker());
  self->reading_ = true;
  asio::co_spawn(self->executor(), read_body(self, exchange), asio::detached);
  self->watch(exchange);
  self->handler_(exchange);
  const bool whole = co_await write_answer(self, exchange);
  self->watch_.disarm();
  if (whole)
    exchange->complete();
  else
    exchange->gone();
  if (!whole) self->close();
  exchange->body()->cancel();
  const bool rest = co_await finish_body(self);
  co_return whole && rest && self->keep_alive_;
}

asio::awaitable<void> HttpConnection::read_body(std::shared_ptr<HttpConnection> self,
                                                std::shared_ptr<HttpExchangeImpl> exchange) {
  const BodyPipeRef pipe = exchange->body();
  std::array<char, kReadBytes> piece;  // NOLINT: filled before it is read
  uint64_t forgotten_bytes = 0;
  error_code failed;
  while (!self->parser_->is_done() && !self->closed_) {
    if (pipe->room() == 0 && !pipe->cancelled()) {
      pipe->on_writable(self->waker());
      co_await self->body_signal_.wait();
      continue;
    }
    if (forgotten_bytes > kLingerBytesMax) break;
    auto& body = self->parser_->get().body();
    body.data = piece.data();
    body.size = piece.size();
    self->read_deadline_.arm(self->config_.stall_ms_max, [self] { self->close(); });
    co_await http::async_read_some(self->socket_, self->buffer_, *self->parser_,
                                   asio::redirect_error(asio::use_awaitable, failed));
    self->read_deadline_.disarm();
    if (failed && failed != http::error::need_buffer) break;
    const size_t got = piece.size() - body.size;
    if (pipe->cancelled()) forgotten_bytes += got;
    pipe->write({piece.data(), got});
  }
  if (self->parser_->is_done())
    pipe->end();
  else if (failed == http::error::body_limit)
    pipe->fail({"HTTP-request-body-size", "the body is longer than this server takes"});
  else if (is_bad_request(failed))
    pipe->fail({"HTTP-protocol-error", "the client's body is malformed"});
  else
    pipe->fail({"connection-terminated", "the client has gone"});
  if (failed == http::error::body_limit)
    exchange->fail(413, "got a body that is longer than this server takes");
  else if (is_bad_request(failed))
    exchange->fail(400, "got a malformed body: " + failed.message());
  self->reading_ = false;
  self->answer_signal_.set();
}

asio::awaitable<bool> HttpConnection::write_answer(std::shared_ptr<HttpConnection> self,
                                                   std::shared_ptr<HttpExchangeImpl> exchange) {
  std::optional<HttpExchangeImpl::Answer> answer;
  while (!(answer = exchange->take_answer())) {
    co_await self->answer_signal_.wait();
    if (self->closed_) co_return false;
  }
  const auto& message = self->parser_->get();
  const uint16_t status = answer->head.status;
  const bool silent = message.method() == http::verb::head || status == 204 || status == 304;
  std::optional<uint64_t> length = content_length(answer->head.fields);
  if (!answer->body) length = answer->text.size();
  Framing framing = length ? Framing::kLength : Framing::kChunked;
  if (status == 204 || (silent && !length)) framing = Framing::kNone;
  const bool old = message.version() <= kHttp10;
  if (old && framing == Framing::kChunked) framing = Framing::kClose;
  self->keep_alive_ = self->parser_->keep_alive() && framing != Framing::kClose &&
                      (self->parser_->is_done() || answer->body);
  if (!co_await write(self, response_text(answer->head, framing, length, self->keep_alive_))) {
    if (answer->body) answer->body->cancel();
    co_return false;
  }
  if (!answer->body) co_return silent || co_await write(self, std::move(answer->text));
  co_return co_await write_body(self, answer->body, framing == Framing::kChunked, silent);
}

asio::awaitable<bool> HttpConnection::write_body(std::shared_ptr<HttpConnection> self,
                                                 BodyPipeRef body, bool chunked, bool silent) {
  while (!self->closed_) {
    BodyPipe::Read got = body->read(BodyPipe::kDefaultBytesMax);
    if (got.state == BodyPipe::Read::State::kFailed) break;
    if (got.state == BodyPipe::Read::State::kEnd) {
      if (silent || !chunked) co_return true;
      co_return co_await write(self, last_chunk_text(body->trailers()));
    }
    if (got.bytes.empty()) {
      body->on_readable(self->waker());
      co_await self->answer_signal_.wait();
      continue;
    }
    if (silent) continue;
    std::string text = chunked ? chunk_text(got.bytes) : std::move(got.bytes);
    if (!co_await write(self, std::move(text))) break;
  }
  body->cancel();
  co_return false;
}

asio::awaitable<bool> HttpConnection::write(std::shared_ptr<HttpConnection> self,
                                            std::string text) {
  error_code failed;
  self->write_deadline_.arm(self->config_.stall_ms_max, [self] { self->close(); });
  co_await asio::async_write(self->socket_, asio::buffer(text),
                             asio::redirect_error(asio::use_awaitable, failed));
  self->write_deadline_.disarm();
  co_return !failed && !self->closed_;
}

asio::awaitable<void> HttpConnection::refuse(std::shared_ptr<HttpConnection> self,
                                             HttpRefusal refusal) {
  self->read_deadline_.arm(kLingerMs, [self] { self->close(); });
  co_await send_refusal(self->socket_, self->socket_, std::move(refusal));
  self->read_deadline_.disarm();
}

asio::awaitable<bool> HttpConnection::finish_body(std::shared_ptr<HttpConnection> self) {
  error_code ignored;
  if (!self->closed_ && !self->keep_alive_)
    self->socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  Deadline linger(self->executor());
  if (self->reading_) linger.arm(kLingerMs, [self] { self->close(); });
  while (self->reading_) co_await self->answer_signal_.wait();
  linger.disarm();
  co_return self->parser_->is_done() && !self->closed_;
}

void HttpConnection::watch(const std::shared_ptr<HttpExchangeImpl>& exchange) {
  watch_.arm(kWatchMs, [self = shared_from_this(), exchange] {
    if (self->closed_) return;
    if (!self->peer_is_gone(*exchange)) return self->watch(exchange);
    self->close();
  });
}

bool HttpConnection::peer_is_gone(const HttpExchangeImpl& exchange) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  if (info.tcpi_state == TCP_ESTABLISHED) return false;
  if (info.tcpi_state != TCP_CLOSE_WAIT || parser_->is_done() || exchange.body()->cancelled())
    return true;
  // It says nothing more, but the rest of its request may be here already.
  error_code failed;
  const size_t here = socket_.available(failed) + buffer_.size();
  const auto remaining = parser_->content_length_remaining();
  return failed || here == 0 || (remaining && *remaining > here);
}

}  // namespace pie::net
