#include "net/outgoing_call.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <exception>
#include <string_view>

#include "net/http_head.h"
#include "net/http_request.h"
#include "net/tls.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 << 10;

/// Ends a call: what it failed of.
struct CallFailed {
  HttpFailure failure;
};
[[noreturn]] void fail(const char* code, const std::string& detail = {}) {
  throw CallFailed{{code, detail}};
}

/// A status line may end after the number, which the parser does not take.
std::string with_reason(std::string head) {
  constexpr size_t kNumberEnd = std::string_view("HTTP/1.1 200").size();
  if (head.size() > kNumberEnd && head[kNumberEnd] == '\r') head.insert(kNumberEnd, " ");
  return head;
}

IpAddress address_of(const asio::ip::address& address) {
  return address.is_v4() ? IpAddress::v4(address.to_v4().to_bytes())
                         : IpAddress::v6(address.to_v6().to_bytes());
}

uint64_t milliseconds(uint64_t ns, uint64_t ms_max) {
  return ns == 0 ? ms_max : std::min(std::max<uint64_t>(ns / 1'000'000, 1), ms_max);
}

/// How a request tells its body's length.
Framing request_framing(const HttpCallRequest& request) {
  if (request.body) return request.body_bytes ? Framing::kLength : Framing::kChunked;
  const std::string& method = request.head.method;
  const bool tells_none = method == "POST" || method == "PUT" || method == "PATCH";
  return tells_none ? Framing::kLength : Framing::kNone;
}

}  // namespace

OutgoingCall::OutgoingCall(asio::io_context& io, std::shared_ptr<OutgoingShared> shared,
                           HttpDestination destination, HttpCallRequest request, Done done,
                           OutgoingPlaces places)
    : shared_(std::move(shared)),
      places_(std::move(places)),
      destination_(std::move(destination)),
      request_(std::move(request)),
      done_(std::move(done)),
      transport_(tcp::socket(asio::make_strand(io))),
      buffer_(shared_->config.header_bytes_max + kReadBytes),
      deadline_(transport_.get_executor()),
      body_deadline_(transport_.get_executor()),
      body_signal_(transport_.get_executor()),
      read_signal_(transport_.get_executor()) {}

void OutgoingCall::start() {
  asio::co_spawn(transport_.get_executor(), run(),
                 [self = shared_from_this()](const std::exception_ptr&) {});
}

void OutgoingCall::cancel() {
  asio::post(transport_.get_executor(), [self = shared_from_this()] {
    if (!std::exchange(self->done_, nullptr)) return;
    self->close("connection-terminated");
  });
}

void OutgoingCall::close(const char* code) {
  if (reason_.empty()) reason_ = code;
  if (lookup_) lookup_->cancel();
  transport_.close();
  closed_ = true;
  body_signal_.set();
  read_signal_.set();
}

void OutgoingCall::arm(Deadline& deadline, uint64_t ms, const char* code) {
  deadline.arm(ms, [self = shared_from_this(), code] { self->close(code); });
}

void OutgoingCall::check(const error_code& failed, const char* code) const {
  if (!reason_.empty()) fail(reason_.c_str());
  if (failed) fail(code, failed.message());
}

std::function<void()> OutgoingCall::waker() {
  return [weak = weak_from_this(), on = transport_.get_executor()] {
    asio::post(on, [weak] {
      const auto self = weak.lock();
      if (!self) return;
      self->body_signal_.set();
      self->read_signal_.set();
    });
  };
}

asio::awaitable<void> OutgoingCall::run() {
  HttpFailure failure;
  try {
    co_await connect();
    co_await send_request();
    co_await read_head();
    co_await read_body();
  } catch (const CallFailed& failed) {
    failure = failed.failure;
  } catch (const std::exception& e) {
    failure = {"internal-error", e.what()};
  }
  deadline_.disarm();
  close("connection-terminated");
  places_ = {};
  if (request_.body) request_.body->cancel();
  if (failure.code.empty()) co_return;
  if (answer_body_) answer_body_->fail(failure);
  if (auto done = std::exchange(done_, nullptr)) done({failure, {}, nullptr});
}

asio::awaitable<OutgoingCall::Endpoints> OutgoingCall::endpoints() {
  Endpoints found;
  if (destination_.address) {
    found.emplace_back(asio::ip::make_address(destination_.host), destination_.port);
  } else {
    const NameLookup::Addresses addresses = co_await look_up();
    for (const auto& one : addresses) found.emplace_back(one, destination_.port);
  }
  std::erase_if(found, [&](const tcp::endpoint& one) {
    return !shared_->policy.allows_address(destination_, address_of(one.address()));
  });
  if (found.empty()) fail("destination-IP-prohibited");
  co_return found;
}

asio::awaitable<NameLookup::Addresses> OutgoingCall::look_up() {
  auto started = shared_->names.start(
      request_.user, destination_.host,
      [weak = weak_from_this(), on = transport_.get_executor()](Result<NameLookup::Addresses> got) {
        asio::post(on, [weak, got = std::move(got)]() mutable {
          const auto one = weak.lock();
          if (!one) return;
          one->looked_up_ = std::move(got);
          one->read_signal_.set();
        });
      });
  if (!started.ok()) fail("DNS-error", started.error().message);
  lookup_ = std::move(*started);
  while (!looked_up_ && !closed_) co_await read_signal_.wait();
  check({}, "");
  if (!looked_up_->ok()) fail("DNS-error", looked_up_->error().message);
  co_return std::move(**looked_up_);
}

asio::awaitable<void> OutgoingCall::connect() {
  arm(deadline_, milliseconds(request_.connect_timeout_ns, shared_->config.connect_ms_max),
      "connection-timeout");
  const Endpoints candidates = co_await endpoints();
  tcp::socket& socket = transport_.socket();
  error_code failed;
  for (const tcp::endpoint& one : candidates) {
    transport_.close();
    co_await socket.async_connect(one, asio::redirect_error(asio::use_awaitable, failed));
    if (!failed || !reason_.empty()) break;
  }
  check(failed, failed == asio::error::connection_refused ? "connection-refused"
                                                          : "destination-unavailable");
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (destination_.scheme == "https") co_await secure();
}

asio::awaitable<void> OutgoingCall::secure() {
  Transport::Secure& stream = transport_.add_tls(*shared_->tls);
  expect_tls_peer(stream.native_handle(), destination_.host);
  error_code failed;
  co_await stream.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, failed));
  if (!failed || !reason_.empty()) co_return check(failed, "TLS-protocol-error");
  const TlsFailure why =
      tls_failure(stream.native_handle(), failed, "the server's setting http_ca_file", "http://");
  fail(why.is_certificate ? "TLS-certificate-error" : "TLS-protocol-error", why.text);
}

asio::awaitable<void> OutgoingCall::send_request() {
  arm(deadline_, milliseconds(request_.first_byte_timeout_ns, shared_->config.first_byte_ms_max),
      "HTTP-response-timeout");
  const Framing framing = request_framing(request_);
  const std::string text = request_text(request_.head, framing, request_.body_bytes);
  error_code failed;
  co_await asio::async_write(transport_, asio::buffer(text),
                             asio::redirect_error(asio::use_awaitable, failed));
  check(failed, "connection-terminated");
  if (!request_.body) co_return;
  asio::co_spawn(transport_.get_executor(), write_body(framing),
                 [self = shared_from_this()](const std::exception_ptr& died) {
                   if (died) self->close("internal-error");
                 });
}

asio::awaitable<void> OutgoingCall::write_body(Framing framing) {
  const BodyPipeRef body = request_.body;
  error_code failed;
  bool is_over = false;
  while (!is_over && !failed && !closed_) {
    const BodyText next = take_body_text(*body, framing);
    if (next.state == BodyText::State::kFailed) close("connection-terminated");
    is_over = next.state == BodyText::State::kFailed || next.state == BodyText::State::kLast;
    if (next.state == BodyText::State::kNothingYet) {
      body->on_readable(waker());
      co_await body_signal_.wait();
    }
    if (next.text.empty()) continue;
    arm(body_deadline_, shared_->config.between_bytes_ms_max, "connection-write-timeout");
    co_await asio::async_write(transport_, asio::buffer(next.text),
                               asio::redirect_error(asio::use_awaitable, failed));
    body_deadline_.disarm();
  }
  // A server may answer without reading everything: the response decides.
  if (failed) body->cancel();
}

asio::awaitable<void> OutgoingCall::read_head() {
  constexpr unsigned kFinalStatusMin = 200;  // interim responses are skipped
  constexpr unsigned kSwitching = 101;       // which nobody asked for
  unsigned status = 0;
  do {
    const HeadRead head = co_await read_http_head(
        transport_, buffer_, shared_->config.header_bytes_max, HeadFolds::kTaken);
    check(head.failed, "connection-terminated");
    constexpr uint16_t kTooLong = 431;
    if (head.refusal)
      fail(head.refusal->status == kTooLong ? "HTTP-response-header-section-size"
                                            : "HTTP-protocol-error",
           head.refusal->text);
    parse(head.text);
    status = parser_->get().result_int();
  } while (status < kFinalStatusMin && status != kSwitching);
  if (status == kSwitching) fail("HTTP-protocol-error", "got 101, which nobody asked for");
  const auto& message = parser_->get();
  constexpr uint16_t kCoding = 501;
  if (const auto fault = framing_fault(message, message.version()))
    fail(fault->status == kCoding ? "HTTP-response-transfer-coding" : "HTTP-protocol-error",
         fault->text);
  answer({static_cast<uint16_t>(status), end_to_end_fields(message)});
}

void OutgoingCall::parse(const std::string& head) {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(shared_->config.header_bytes_max));
  parser_->body_limit(boost::none);
  parser_->skip(request_.head.method == "HEAD");
  error_code failed;
  parser_->put(asio::buffer(with_reason(head)), failed);
  check(failed, "HTTP-protocol-error");
}

void OutgoingCall::answer(HttpResponseHead head) {
  answer_body_ = std::make_shared<BodyPipe>();
  answer_body_->on_cancelled([weak = weak_from_this(), on = transport_.get_executor()] {
    asio::post(on, [weak] {
      if (const auto one = weak.lock()) one->close("connection-terminated");
    });
  });
  deadline_.disarm();
  const Done done = std::exchange(done_, nullptr);
  if (!done) fail("connection-terminated");
  done({std::nullopt, std::move(head), answer_body_});
}

asio::awaitable<void> OutgoingCall::read_body() {
  const BodyPipeRef pipe = answer_body_;
  std::array<char, kReadBytes> piece;  // NOLINT: filled before it is read
  error_code failed;
  while (!parser_->is_done() && !pipe->cancelled()) {
    if (pipe->room() == 0) {
      arm(deadline_, shared_->config.unread_ms_max, "connection-read-timeout");
      pipe->on_writable(waker());
      co_await read_signal_.wait();
      deadline_.disarm();
      check({}, "");
      continue;
    }
    parser_->get().body().data = piece.data();
    parser_->get().body().size = piece.size();
    arm(deadline_,
        milliseconds(request_.between_bytes_timeout_ns, shared_->config.between_bytes_ms_max),
        "connection-read-timeout");
    co_await http::async_read_some(transport_, buffer_, *parser_,
                                   asio::redirect_error(asio::use_awaitable, failed));
    deadline_.disarm();
    if (failed == http::error::need_buffer) failed = {};
    pipe->write({piece.data(), piece.size() - parser_->get().body().size});
    check(failed, "HTTP-response-incomplete");
  }
  pipe->end();
}

}  // namespace pie::net
