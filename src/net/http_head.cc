#include "net/http_head.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>

#include "net/http_text.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;

constexpr size_t kPieceBytes = 4 << 10;
constexpr uint64_t kForgottenBytesMax = 1 << 20;

}  // namespace

std::string refusal_text(const HttpRefusal& refusal) {
  HttpResponseHead head{refusal.status, {{"content-type", "text/plain; charset=utf-8"}}};
  head.fields.insert(head.fields.end(), refusal.fields.begin(), refusal.fields.end());
  const std::string text = refusal.text + "\n";
  return response_text(head, Framing::kLength, text.size(), Persistence::kClose) + text;
}

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  for (; at_ < bytes.size(); ++at_) {
    const char c = bytes[at_];
    if (c == '\0') return bad("got a zero byte in the head");
    if (at_ == line_ && line_ != begin_ && (c == ' ' || c == '\t') && folds_ == HeadFolds::kRefused)
      return bad("got a line of the head that begins with a blank");
    if (c == '\n') return bad("got a line of the head that does not end with CR LF");
    if (c != '\r') continue;
    if (at_ + 1 == bytes.size()) return State::kMore;
    if (bytes[at_ + 1] != '\n') return bad("got a CR within a line of the head");
    const bool is_empty = at_ == line_, is_first = line_ == begin_;
    line_ = ++at_ + 1;
    if (is_empty && !is_first) {
      ++at_;
      return State::kWhole;
    }
    if (is_empty) begin_ = line_;
  }
  return State::kMore;
}

std::optional<HttpRefusal> framing_fault(const boost::beast::http::fields& fields,
                                         unsigned version) {
  using Field = boost::beast::http::field;
  const size_t count = fields.count(Field::transfer_encoding);
  if (count == 0) return std::nullopt;
  constexpr unsigned kHttp11 = 11;
  if (version < kHttp11) return HttpRefusal{400, "got a Transfer-Encoding in HTTP/1.0"};
  if (fields.count(Field::content_length) > 0)
    return HttpRefusal{400, "got both Transfer-Encoding and Content-Length, expected one of them"};
  if (count > 1 || !boost::beast::iequals(fields[Field::transfer_encoding], "chunked"))
    return HttpRefusal{501, "got a transfer coding that is not served, expected chunked alone"};
  return std::nullopt;
}

asio::awaitable<HeadRead> read_http_head(Transport& transport, boost::beast::flat_buffer& buffer,
                                         size_t bytes_max, HeadFolds folds) {
  HeadScanner scanner(folds);
  HeadRead head;
  for (;;) {
    const auto data = buffer.cdata();
    const std::string_view bytes(static_cast<const char*>(data.data()), data.size());
    const auto state = scanner.scan(bytes);
    if (state == HeadScanner::State::kBad)
      head.refusal = HttpRefusal{400, scanner.fault()};
    else if (state == HeadScanner::State::kWhole && scanner.end() <= bytes_max)
      head.text = bytes.substr(scanner.begin(), scanner.end() - scanner.begin());
    else if (state == HeadScanner::State::kWhole || bytes.size() >= bytes_max)
      head.refusal = HttpRefusal{
          431, "got a head that is longer than " + std::to_string(bytes_max) + " bytes"};
    if (!head.text.empty()) buffer.consume(scanner.end());
    if (!head.text.empty() || head.refusal) co_return head;
    const auto got = co_await transport.async_read_some(
        buffer.prepare(kPieceBytes), asio::redirect_error(asio::use_awaitable, head.failed));
    if (head.failed) co_return head;
    buffer.commit(got);
  }
}

asio::awaitable<void> send_refusal(Transport& transport, HttpRefusal refusal) {
  boost::system::error_code failed;
  const std::string text = refusal_text(refusal);
  co_await asio::async_write(transport, asio::buffer(text),
                             asio::redirect_error(asio::use_awaitable, failed));
  if (!failed) transport.socket().shutdown(Transport::Socket::shutdown_send, failed);
  char piece[kPieceBytes];
  for (uint64_t forgotten_bytes = 0; !failed && forgotten_bytes < kForgottenBytesMax;)
    forgotten_bytes += co_await transport.async_read_some(
        asio::buffer(piece), asio::redirect_error(asio::use_awaitable, failed));
}

}  // namespace pie::net
