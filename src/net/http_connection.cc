#include "net/http_connection.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pie::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kReadBytes = 16 << 10;
constexpr uint64_t kRefusalMs = 1'000;  ///< for a refusal to arrive

}  // namespace

HttpConnection::HttpConnection(Accepted accepted, std::shared_ptr<const HttpRoutes> routes)
    : accepted_(std::move(accepted)),
      routes_(std::move(routes)),
      config_(routes_->config),
      buffer_(config_.header_bytes_max + kReadBytes),
      deadline_(accepted_.transport.get_executor()) {}

void HttpConnection::drop() {
  closed_ = true;
  deadline_.disarm();
  accepted_.transport.close();
  accepted_.place = nullptr;
  if (const auto exchange = exchange_.lock()) exchange->close();
}

asio::awaitable<std::shared_ptr<ServedConnection>> HttpConnection::run() {
  const auto self = shared_from_this();
  bool goes_on = true;
  while (goes_on && !closed_) {
    std::string head = co_await read_head();
    if (head.empty()) break;
    if (is_for_websockets(head)) co_return co_await upgrade(std::move(head));
    goes_on = co_await serve(std::move(head));
  }
  drop();
  co_return nullptr;
}

asio::awaitable<std::string> HttpConnection::read_head() {
  Transport& transport = accepted_.transport;
  const auto expired = [self = shared_from_this()] { self->drop(); };
  if (is_first_ && config_.first_header_ms_max > 0) {
    const auto age = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() -
                                                              accepted_.since);
    const auto used_ms = static_cast<uint64_t>(age.count());
    deadline_.arm(config_.first_header_ms_max - std::min(used_ms, config_.first_header_ms_max),
                  expired);
  } else {
    if (buffer_.size() == 0) {
      deadline_.arm(is_first_ ? config_.header_ms_max : config_.idle_ms_max, expired);
      error_code failed;
      const size_t got = co_await transport.async_read_some(
          buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, failed));
      if (failed) co_return "";
      buffer_.commit(got);
    }
    deadline_.arm(config_.header_ms_max, expired);
  }
  is_first_ = false;
  HeadRead head =
      co_await read_http_head(transport, buffer_, config_.header_bytes_max, HeadFolds::kRefused);
  deadline_.disarm();
  if (head.failed || closed_) co_return "";
  if (head.refusal) co_await refuse(std::move(*head.refusal));
  co_return std::move(head.text);
}

bool HttpConnection::is_for_websockets(const std::string& head) const {
  if (!routes_->websockets) return false;
  return !routes_->handler || asks_for_websocket(head);
}

asio::awaitable<std::shared_ptr<ServedConnection>> HttpConnection::upgrade(std::string head) {
  UpgradeRequest request;
  std::optional<HttpRefusal> refusal =
      parse_handshake(head, routes_->websockets->route.config.origins, request);
  if (!refusal && buffer_.size() > 0)
    refusal = HttpRefusal{400, "got data before the handshake was answered"};
  if (refusal) {
    co_await refuse(std::move(*refusal));
    drop();
    co_return nullptr;
  }
  co_return serve_websocket(std::move(accepted_), routes_->websockets, std::move(request),
                            config_.header_ms_max);
}

asio::awaitable<bool> HttpConnection::serve(std::string head) {
  // It keeps this alive, as it uses the transport and the buffer.
  const std::shared_ptr<Transport> transport(shared_from_this(), &accepted_.transport);
  const auto exchange = std::make_shared<ExchangeIo>(transport, buffer_, config_);
  exchange_ = exchange;
  std::optional<HttpRefusal> refusal = exchange->parse(head);
  std::optional<HttpRequestHead> request;
  if (!refusal) request = request_head(exchange->message());
  if (!refusal && !request)
    refusal = HttpRefusal{400, "got a request without a valid target or Host"};
  if (refusal) {
    co_await refuse(std::move(*refusal));
    co_return false;
  }
  co_return co_await exchange->serve(std::move(*request), routes_->handler);
}

asio::awaitable<void> HttpConnection::refuse(HttpRefusal refusal) {
  deadline_.arm(kRefusalMs, [self = shared_from_this()] { self->drop(); });
  co_await send_refusal(accepted_.transport, std::move(refusal));
  deadline_.disarm();
}

}  // namespace pie::net
