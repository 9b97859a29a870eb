#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_exchange_impl.h"
#include "net/http_request.h"
#include "net/http_server.h"
#include "net/http_text.h"
#include "net/io_context.h"
#include "net/transport.h"

namespace pie::net {

/// One request of a connection, from its head to the end of its answer: reads the body into the
/// exchange's pipe, writes the answer out of its own, notices a client that goes away meanwhile.
/// Everything runs on the connection's strand.
class ExchangeIo final : public std::enable_shared_from_this<ExchangeIo> {
 public:
  ExchangeIo(std::shared_ptr<Transport> transport, boost::beast::flat_buffer& buffer,
             const HttpServerConfig& config);

  /// Takes the request's head; why it is refused, if it is.
  std::optional<HttpRefusal> parse(const std::string& head);
  const boost::beast::http::request_header<>& message() const { return parser_.get(); }
  /// Hands the exchange out and sees to it; false when the connection is to be closed.
  boost::asio::awaitable<bool> serve(HttpRequestHead head, const HttpHandler& handler);
  /// Cuts the connection, and so ends what goes on.
  void close();

 private:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;
  enum class AnswerBody { kSent, kLeftOut };  ///< of an answer: HEAD, 204 and 304 have none

  Awaitable<void> read_body();
  /// Takes a piece; false when no more is to come.
  Awaitable<bool> read_piece(boost::system::error_code& failed, uint64_t& forgotten_bytes);
  void end_body(const boost::system::error_code& failed);
  Awaitable<bool> write_answer();
  Awaitable<bool> write_body(BodyPipeRef body, Framing framing, AnswerBody sent);
  Awaitable<bool> write(std::string text);
  /// Waits for the rest of the request's body; false when it does not come soon.
  Awaitable<bool> finish_body();
  void watch();
  /// Whether the peer has closed its end, and nothing of the request is to come.
  bool peer_is_gone();
  /// A wake-up from any thread.
  std::function<void()> waker();

  const std::shared_ptr<Transport> transport_;
  boost::beast::flat_buffer& buffer_;
  const HttpServerConfig& config_;
  RequestParser parser_;
  /// Bounds what chunks say beside their bytes; the parser keeps a reference.
  std::function<void(uint64_t, std::string_view, boost::system::error_code&)> on_chunk_header_;
  uint64_t extension_bytes_ = 0;
  std::shared_ptr<HttpExchangeImpl> exchange_;
  Signal answer_signal_, body_signal_;
  Deadline read_deadline_, write_deadline_, watch_;
  bool keep_alive_ = false;  ///< as the answer tells
  bool reading_ = false;     ///< read_body runs
  bool closed_ = false;
};

}  // namespace pie::net
