#include "net/tls_accept.h"

#include <boost/asio/ssl/stream_base.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <utility>

#include "base/http.h"
#include "net/http_head.h"
#include "net/io_context.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kFirstBytes = 4 << 10;
constexpr uint64_t kRefusalMs = 1'000;  ///< for a refusal to arrive

class TlsAccept final : public ServedConnection, public std::enable_shared_from_this<TlsAccept> {
 public:
  TlsAccept(Accepted accepted, asio::ssl::context& tls, uint64_t ms_max, const MakeConnection& make)
      : accepted_(std::move(accepted)),
        tls_(tls),
        make_(make),
        ms_max_(ms_max),
        deadline_(accepted_.transport.get_executor()) {}

  asio::awaitable<std::shared_ptr<ServedConnection>> run() override {
    const auto self = shared_from_this();
    arm(ms_max_);
    const bool is_made = co_await shake_hands();
    deadline_.disarm();
    if (!is_made) drop();
    if (is_dropped_) co_return nullptr;
    co_return make_(std::move(accepted_));
  }
  void shut_down() override { drop(); }
  void drop() override {
    is_dropped_ = true;
    deadline_.disarm();
    accepted_.transport.close();
    accepted_.place = nullptr;
  }

 private:
  void arm(uint64_t ms) {
    deadline_.arm(ms, [self = shared_from_this()] { self->drop(); });
  }

  /// False when there is no connection to speak on: what had to be said was.
  asio::awaitable<bool> shake_hands() {
    Transport& transport = accepted_.transport;
    boost::beast::flat_buffer begun;
    error_code failed;
    const size_t got = co_await transport.async_read_some(
        begun.prepare(kFirstBytes), asio::redirect_error(asio::use_awaitable, failed));
    begun.commit(got);
    if (failed) co_return false;
    if (is_http_token({static_cast<const char*>(begun.cdata().data()), 1})) {
      arm(kRefusalMs);
      HttpRefusal refusal{400, "got plain HTTP, expected TLS: use wss://"};
      co_await send_refusal(transport, std::move(refusal));
      co_return false;
    }
    Transport::Secure& secure = transport.add_tls(tls_);
    co_await secure.async_handshake(asio::ssl::stream_base::server, begun.cdata(),
                                    asio::redirect_error(asio::use_awaitable, failed));
    co_return !failed;
  }

  Accepted accepted_;
  asio::ssl::context& tls_;
  const MakeConnection& make_;
  const uint64_t ms_max_;
  Deadline deadline_;
  bool is_dropped_ = false;
};

}  // namespace

std::shared_ptr<ServedConnection> accept_tls(Accepted accepted, asio::ssl::context& tls,
                                             uint64_t ms_max, const MakeConnection& make) {
  return std::make_shared<TlsAccept>(std::move(accepted), tls, ms_max, make);
}

}  // namespace pie::net
