#pragma once
#include <boost/asio/async_result.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/teardown.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace pie::net {

/// What HTTP and WebSockets are spoken over: a TCP connection, plain or under TLS. An asynchronous
/// stream of Asio and Beast, so that whoever uses it exists once. One strand only.
class Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Secure = boost::beast::ssl_stream<Socket>;
  using executor_type = Socket::executor_type;

  explicit Transport(Socket socket) : plain_(std::move(socket)) {}

  executor_type get_executor() { return socket().get_executor(); }
  Socket& socket() { return secure_ ? secure_->next_layer() : plain_; }
  /// Puts TLS over the connection; what follows is its handshake. `context` outlives it.
  Secure& add_tls(boost::asio::ssl::context& context) {
    secure_ = std::make_unique<Secure>(std::move(plain_), context);
    return *secure_;
  }
  /// Null when it is plain.
  Secure* secure() { return secure_.get(); }
  /// Ends every operation; fine to repeat.
  void close() {
    boost::system::error_code ignored;
    socket().close(ignored);
  }
  /// The peer's address without its port; "" when it is not connected.
  std::string peer_address() {
    boost::system::error_code failed;
    const auto peer = socket().remote_endpoint(failed);
    return failed ? std::string() : peer.address().to_string();
  }

  template <class Token>
  using Transferred =
      typename boost::asio::async_result<std::decay_t<Token>,
                                         void(boost::system::error_code, std::size_t)>::return_type;

  template <class Buffers, class Token>
  Transferred<Token> async_read_some(const Buffers& buffers, Token&& token) {
    if (secure_) return secure_->async_read_some(buffers, std::forward<Token>(token));
    return plain_.async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  Transferred<Token> async_write_some(const Buffers& buffers, Token&& token) {
    if (secure_) return secure_->async_write_some(buffers, std::forward<Token>(token));
    return plain_.async_write_some(buffers, std::forward<Token>(token));
  }

  // What Beast's WebSockets ask of a stream.
  friend void beast_close_socket(Transport& transport) { transport.close(); }
  template <class Handler>
  friend void async_teardown(boost::beast::role_type role, Transport& transport,
                             Handler&& handler) {
    using boost::beast::websocket::async_teardown;
    if (transport.secure_) {
      async_teardown(role, *transport.secure_, std::forward<Handler>(handler));
    } else {
      async_teardown(role, transport.plain_, std::forward<Handler>(handler));
    }
  }

 private:
  Socket plain_;  ///< of no use once there is `secure_`
  std::unique_ptr<Secure> secure_;
};

}  // namespace pie::net
