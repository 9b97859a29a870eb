#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/http_call.h"
#include "net/host_policy.h"
#include "net/http_client.h"
#include "net/http_text.h"
#include "net/io_context.h"
#include "net/name_lookup.h"
#include "net/shares.h"
#include "net/transport.h"

namespace pie::net {

/// What all calls of a client share; it goes with the last of them.
struct OutgoingShared {
  explicit OutgoingShared(HttpClientConfig one) : config(std::move(one)) {}
  const HttpClientConfig config;
  HostPolicy policy;
  std::shared_ptr<boost::asio::ssl::context> tls;
  Shares all{config.calls_max};  ///< with one holder
  Shares users{config.calls_per_user_max};
  NameLookup names{config.look_up};
};

/// What a call has of them.
struct OutgoingPlaces {
  std::unique_ptr<Shares::Place> of_all, of_user;  ///< of_user null: it counts as nobody's
};

/// One request of a program and its response, over a connection of its own; on a strand.
class OutgoingCall final : public std::enable_shared_from_this<OutgoingCall> {
 public:
  using Done = std::function<void(HttpCallAnswer)>;
  OutgoingCall(boost::asio::io_context& io, std::shared_ptr<OutgoingShared> shared,
               HttpDestination destination, HttpCallRequest request, Done done,
               OutgoingPlaces places);

  void start();
  /// Any thread. After the answer it does nothing.
  void cancel();

 private:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;
  using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;
  using Parser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;

  /// Ends what is going on; what is awaited fails, for the reason told here.
  void close(const char* code);
  void arm(Deadline& deadline, uint64_t ms, const char* code);
  /// Throws when the operation has failed: with the reason of close(), else with `code`.
  void check(const boost::system::error_code& failed, const char* code) const;
  /// A wake-up from any thread.
  std::function<void()> waker();

  Awaitable<void> run();
  /// The addresses that may be connected to.
  Awaitable<Endpoints> endpoints();
  Awaitable<NameLookup::Addresses> look_up();
  Awaitable<void> connect();
  Awaitable<void> secure();
  Awaitable<void> send_request();
  Awaitable<void> write_body(Framing framing);
  Awaitable<void> read_head();
  /// Takes a final or interim head into the parser.
  void parse(const std::string& head);
  /// Hands the head over, with a body that is to come.
  void answer(HttpResponseHead head);
  Awaitable<void> read_body();

  const std::shared_ptr<OutgoingShared> shared_;
  OutgoingPlaces places_;  ///< until the body's end
  const HttpDestination destination_;
  HttpCallRequest request_;
  Done done_;  ///< null: told, or cancelled
  std::optional<WorkQueue::Ticket> lookup_;
  std::optional<Result<NameLookup::Addresses>> looked_up_;
  Transport transport_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Deadline deadline_, body_deadline_;
  Signal body_signal_, read_signal_;
  BodyPipeRef answer_body_;
  std::string reason_;
  bool closed_ = false;
};

}  // namespace pie::net
