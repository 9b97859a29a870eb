#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_head.h"
#include "net/http_server.h"
#include "net/io_context.h"

namespace pie::net {

class HttpExchangeImpl;

/// One connection of a client to an HttpServer: its requests, one after the other. Everything runs
/// on its strand; drop() comes from any thread.
class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  HttpConnection(Socket socket, const HttpServerConfig& config, HttpServer::Handler handler);
  /// Out of line, as its parts are.
  ~HttpConnection();

  /// Until the connection is closed.
  static boost::asio::awaitable<void> run(std::shared_ptr<HttpConnection> self);
  void drop();
  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;

  /// Reads a head; false when the connection is to be closed (what had to be said was).
  static Awaitable<bool> read_head(std::shared_ptr<HttpConnection> self);
  /// Takes a whole head; why it is refused, if it is.
  std::optional<HttpRefusal> parse_head(const std::string& text);
  /// The request of the parser's head; nothing when it is none that can be served.
  std::optional<HttpRequestHead> request_head() const;
  /// From the head to the end of the answer; false when the connection is to be closed.
  static Awaitable<bool> serve(std::shared_ptr<HttpConnection> self, HttpRequestHead head);
  static Awaitable<void> read_body(std::shared_ptr<HttpConnection> self,
                                   std::shared_ptr<HttpExchangeImpl> exchange);
  static Awaitable<bool> write_answer(std::shared_ptr<HttpConnection> self,
                                      std::shared_ptr<HttpExchangeImpl> exchange);
  static Awaitable<bool> write_body(std::shared_ptr<HttpConnection> self, BodyPipeRef body,
                                    bool chunked, bool silent);
  static Awaitable<bool> write(std::shared_ptr<HttpConnection> self, std::string text);
  static Awaitable<void> refuse(std::shared_ptr<HttpConnection> self, HttpRefusal refusal);
  /// Waits for the rest of the request's body; false when it does not come soon.
  static Awaitable<bool> finish_body(std::shared_ptr<HttpConnection> self);
  void watch(const std::shared_ptr<HttpExchangeImpl>& exchange);
  /// Whether the peer has closed its end, and nothing of the request is to come.
  bool peer_is_gone(const HttpExchangeImpl& exchange);
  void close();
  /// A wake-up from any thread.
  std::function<void()> waker();

  Socket socket_;
  const HttpServerConfig& config_;
  const HttpServer::Handler handler_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Signal answer_signal_, body_signal_;
  Deadline read_deadline_, write_deadline_, watch_;
  /// Bounds what chunks say beside their bytes; the parser keeps a reference.
  std::function<void(uint64_t, std::string_view, boost::system::error_code&)> on_chunk_header_;
  uint64_t extension_bytes_ = 0;  ///< of the current request's body
  bool is_first_ = true;          ///< the next request is the connection's first
  bool keep_alive_ = false;       ///< as the answer tells
  bool reading_ = false;          ///< read_body runs
  bool closed_ = false;
};

}  // namespace pie::net
