#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/http.h"

namespace pie::net {

/// Why a request is not served, as its sender hears it.
struct HttpRefusal {
  uint16_t status = 400;
  std::string text;        ///< one line, without its end
  HttpFields fields = {};  ///< further fields of the response
};
/// The whole response, which ends the connection.
std::string refusal_text(const HttpRefusal& refusal);

/// Finds the end of a message's head in bytes that come piece by piece, and what two readers could
/// take for two different heads (RFC 9112, sections 2.2 and 5).
class HeadScanner {
 public:
  /// `takes_folds`: a line that begins with a blank belongs to the one before it.
  explicit HeadScanner(bool takes_folds) : takes_folds_(takes_folds) {}
  enum class State { kMore, kWhole, kBad };
  /// `bytes`: all that has come so far, what was there at the last call first.
  State scan(std::string_view bytes);
  /// Where the head begins, after empty lines.
  size_t begin() const { return begin_; }
  /// Where it ends, its empty line included. After kWhole.
  size_t end() const { return at_; }
  /// After kBad: "got a line that ...".
  const char* fault() const { return fault_; }

 private:
  State bad(const char* fault) {
    fault_ = fault;
    return State::kBad;
  }

  const bool takes_folds_;
  size_t begin_ = 0, line_ = 0, at_ = 0;  ///< of the head, of the current line, of what comes next
  const char* fault_ = "";
};

/// What is wrong with how a message tells its body's length: more than one way could be read out of
/// it, or a transfer coding that is not served (RFC 9112, section 6.1). `version`: 10 or 11.
std::optional<HttpRefusal> framing_fault(const boost::beast::http::fields& fields,
                                         unsigned version);

/// What came of a head.
struct HeadRead {
  std::string text;  ///< with its empty line; "": `refusal`, or the connection failed
  std::optional<HttpRefusal> refusal;
  boost::system::error_code failed;
};

/// Reads a head of at most `bytes_max` bytes out of `buffer` and then `stream`; what follows it
/// stays in the buffer.
template <class Stream>
boost::asio::awaitable<HeadRead> read_http_head(Stream& stream, boost::beast::flat_buffer& buffer,
                                                size_t bytes_max, bool takes_folds) {
  namespace asio = boost::asio;
  constexpr size_t kPieceBytes = 4 << 10;
  HeadScanner scanner(takes_folds);
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
    const auto got = co_await stream.async_read_some(
        buffer.prepare(kPieceBytes), asio::redirect_error(asio::use_awaitable, head.failed));
    if (head.failed) co_return head;
    buffer.commit(got);
  }
}

/// Answers with a refusal and reads on for a while: a connection that is closed with unread bytes
/// takes the answer with it (RFC 9112, section 9.6). The caller bounds the time; `socket` is the
/// stream's own.
template <class Stream, class Socket>
boost::asio::awaitable<void> send_refusal(Stream& stream, Socket& socket, HttpRefusal refusal) {
  namespace asio = boost::asio;
  constexpr uint64_t kForgottenBytesMax = 1 << 20;
  boost::system::error_code failed;
  const std::string text = refusal_text(refusal);
  co_await asio::async_write(stream, asio::buffer(text),
                             asio::redirect_error(asio::use_awaitable, failed));
  if (!failed) socket.shutdown(Socket::shutdown_send, failed);
  char piece[4 << 10];
  for (uint64_t forgotten_bytes = 0; !failed && forgotten_bytes < kForgottenBytesMax;)
    forgotten_bytes += co_await stream.async_read_some(
        asio::buffer(piece), asio::redirect_error(asio::use_awaitable, failed));
}

}  // namespace pie::net
