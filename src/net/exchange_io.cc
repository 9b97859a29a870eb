#include "net/exchange_io.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <exception>
#include <utility>

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

/// Whether the failure is about what came, not about the socket.
bool is_bad_request(const error_code& failed) {
  return failed.category() == http::make_error_code(http::error::bad_method).category() &&
         failed != http::error::end_of_stream && failed != http::error::partial_message &&
         failed != http::error::need_buffer;
}

}  // namespace

ExchangeIo::ExchangeIo(std::shared_ptr<Transport> transport, boost::beast::flat_buffer& buffer,
                       const HttpServerConfig& config)
    : transport_(std::move(transport)),
      buffer_(buffer),
      config_(config),
      on_chunk_header_([this](uint64_t, std::string_view extensions, error_code& failed) {
        extension_bytes_ += extensions.size();
        if (extension_bytes_ > config_.header_bytes_max) failed = http::error::bad_chunk_extension;
      }),
      answer_signal_(transport_->get_executor()),
      body_signal_(transport_->get_executor()),
      read_deadline_(transport_->get_executor()),
      write_deadline_(transport_->get_executor()),
      watch_(transport_->get_executor()) {
  parser_.header_limit(static_cast<uint32_t>(config_.header_bytes_max));
  parser_.body_limit(config_.body_bytes_max);
  parser_.on_chunk_header(on_chunk_header_);
}

std::optional<HttpRefusal> ExchangeIo::parse(const std::string& head) {
  return parse_request(head, parser_);
}

std::function<void()> ExchangeIo::waker() {
  return [weak = weak_from_this(), on = transport_->get_executor()] {
    asio::post(on, [weak] {
      const auto self = weak.lock();
      if (!self) return;
      self->answer_signal_.set();
      self->body_signal_.set();
    });
  };
}

void ExchangeIo::close() {
  closed_ = true;
  transport_->close();
  answer_signal_.set();
  body_signal_.set();
}

asio::awaitable<bool> ExchangeIo::serve(HttpRequestHead head, const HttpHandler& handler) {
  const auto self = shared_from_this();
  const bool waits = boost::beast::iequals(message()[http::field::expect], "100-continue");
  if (waits && message().version() > kHttp10) {
    const bool told = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!told) co_return false;
  }
  exchange_ = std::make_shared<HttpExchangeImpl>(std::move(head), waker());
  reading_ = true;
  asio::co_spawn(transport_->get_executor(), read_body(), [self](const std::exception_ptr& died) {
    self->reading_ = false;
    if (died) self->close();
    self->answer_signal_.set();
  });
  watch();
  bool is_whole = false;
  std::exception_ptr died;
  try {
    handler(exchange_);
    is_whole = co_await write_answer();
  } catch (...) {
    died = std::current_exception();
  }
  watch_.disarm();
  if (is_whole)
    exchange_->complete();
  else
    exchange_->gone();
  if (!is_whole) close();
  if (died) std::rethrow_exception(died);
  exchange_->body()->cancel();
  const bool is_read = co_await finish_body();
  co_return is_whole && is_read && keep_alive_;
}

asio::awaitable<void> ExchangeIo::read_body() {
  const BodyPipeRef pipe = exchange_->body();
  uint64_t forgotten_bytes = 0;
  error_code failed;
  while (!parser_.is_done() && !closed_) {
    if (pipe->room() == 0 && !pipe->cancelled()) {
      pipe->on_writable(waker());
      co_await body_signal_.wait();
      continue;
    }
    if (forgotten_bytes > kLingerBytesMax) break;
    const bool goes_on = co_await read_piece(failed, forgotten_bytes);
    if (!goes_on) break;
  }
  end_body(failed);
}

asio::awaitable<bool> ExchangeIo::read_piece(error_code& failed, uint64_t& forgotten_bytes) {
  const BodyPipeRef& pipe = exchange_->body();
  std::array<char, kReadBytes> piece;  // NOLINT: filled before it is read
  auto& body = parser_.get().body();
  body.data = piece.data();
  body.size = piece.size();
  read_deadline_.arm(config_.stall_ms_max, [self = shared_from_this()] { self->close(); });
  co_await http::async_read_some(*transport_, buffer_, parser_,
                                 asio::redirect_error(asio::use_awaitable, failed));
  read_deadline_.disarm();
  if (failed && failed != http::error::need_buffer) co_return false;
  const size_t got = piece.size() - body.size;
  if (pipe->cancelled()) forgotten_bytes += got;
  pipe->write({piece.data(), got});
  co_return true;
}

void ExchangeIo::end_body(const error_code& failed) {
  const BodyPipeRef& pipe = exchange_->body();
  if (parser_.is_done())
    pipe->end();
  else if (failed == http::error::body_limit)
    pipe->fail({"HTTP-request-body-size", "the body is longer than this server takes"});
  else if (is_bad_request(failed))
    pipe->fail({"HTTP-protocol-error", "the client's body is malformed"});
  else
    pipe->fail({"connection-terminated", "the client has gone"});
  if (failed == http::error::body_limit)
    exchange_->fail(413, "got a body that is longer than this server takes");
  else if (is_bad_request(failed))
    exchange_->fail(400, "got a malformed body: " + failed.message());
}

asio::awaitable<bool> ExchangeIo::write_answer() {
  std::optional<HttpExchangeImpl::Answer> answer;
  while (!(answer = exchange_->take_answer())) {
    co_await answer_signal_.wait();
    if (closed_) co_return false;
  }
  const uint16_t status = answer->head.status;
  const bool is_left_out = message().method() == http::verb::head || status == 204 || status == 304;
  std::optional<uint64_t> length = content_length(answer->head.fields);
  if (!answer->body) length = answer->text.size();
  Framing framing = length ? Framing::kLength : Framing::kChunked;
  if (status == 204 || (is_left_out && !length)) framing = Framing::kNone;
  const bool is_old = message().version() <= kHttp10;
  if (is_old && framing == Framing::kChunked) framing = Framing::kClose;
  keep_alive_ =
      parser_.keep_alive() && framing != Framing::kClose && (parser_.is_done() || answer->body);
  const Persistence persistence = keep_alive_ ? Persistence::kKeepAlive : Persistence::kClose;
  std::string head = response_text(answer->head, framing, length, persistence);
  const bool told = co_await write(std::move(head));
  if (!told) {
    if (answer->body) answer->body->cancel();
    co_return false;
  }
  if (answer->body) {
    const AnswerBody sent = is_left_out ? AnswerBody::kLeftOut : AnswerBody::kSent;
    co_return co_await write_body(answer->body, framing, sent);
  }
  if (is_left_out) co_return true;
  co_return co_await write(std::move(answer->text));
}

asio::awaitable<bool> ExchangeIo::write_body(BodyPipeRef body, Framing framing, AnswerBody sent) {
  while (!closed_) {
    BodyText next = take_body_text(*body, framing);
    if (next.state == BodyText::State::kFailed) break;
    if (next.state == BodyText::State::kNothingYet) {
      body->on_readable(waker());
      co_await answer_signal_.wait();
      continue;
    }
    if (sent == AnswerBody::kSent && !next.text.empty()) {
      const bool told = co_await write(std::move(next.text));
      if (!told) break;
    }
    if (next.state == BodyText::State::kLast) co_return true;
  }
  body->cancel();
  co_return false;
}

asio::awaitable<bool> ExchangeIo::write(std::string text) {
  error_code failed;
  write_deadline_.arm(config_.stall_ms_max, [self = shared_from_this()] { self->close(); });
  co_await asio::async_write(*transport_, asio::buffer(text),
                             asio::redirect_error(asio::use_awaitable, failed));
  write_deadline_.disarm();
  co_return !failed && !closed_;
}

asio::awaitable<bool> ExchangeIo::finish_body() {
  error_code ignored;
  if (!closed_ && !keep_alive_)
    transport_->socket().shutdown(Transport::Socket::shutdown_send, ignored);
  if (reading_) write_deadline_.arm(kLingerMs, [self = shared_from_this()] { self->close(); });
  while (reading_) co_await answer_signal_.wait();
  write_deadline_.disarm();
  co_return parser_.is_done() && !closed_;
}

void ExchangeIo::watch() {
  watch_.arm(kWatchMs, [self = shared_from_this()] {
    if (self->closed_) return;
    if (!self->peer_is_gone()) return self->watch();
    self->close();
  });
}

bool ExchangeIo::peer_is_gone() {
  auto& socket = transport_->socket();
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  if (info.tcpi_state == TCP_ESTABLISHED) return false;
  if (info.tcpi_state != TCP_CLOSE_WAIT || parser_.is_done() || exchange_->body()->cancelled())
    return true;
  // It says nothing more, but the rest of its request may be here already.
  error_code failed;
  const size_t here = socket.available(failed) + buffer_.size();
  const auto remaining = parser_.content_length_remaining();
  return failed || here == 0 || (remaining && *remaining > here);
}

}  // namespace pie::net
