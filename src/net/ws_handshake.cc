#include "net/ws_handshake.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <utility>

#include "net/host_policy.h"

namespace pie::net {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kAny = "*", kOpaque = "null";

/// Whether pages of this origin may connect.
bool is_allowed(const OriginPolicy& policy, std::string_view origin) {
  const std::string wanted = lower_case(origin);
  return std::any_of(policy.allowed.begin(), policy.allowed.end(), [&](const std::string& one) {
    return one == kAny || lower_case(one) == wanted;
  });
}

std::optional<HttpRefusal> origin_fault(const UpgradeRequest& request, const OriginPolicy& policy) {
  const size_t count = request.count(http::field::origin);
  if (count == 0) return std::nullopt;
  const std::string origin(request[http::field::origin]);
  constexpr size_t kShownMax = 200;
  if (count > 1 || !is_allowed(policy, origin))
    return HttpRefusal{403, "got a connection from a page of " + origin.substr(0, kShownMax) +
                                ", expected none of a browser: the server's setting origins_allow "
                                "names the origins whose pages may connect"};
  if (!policy.by_loopback_alone) return std::nullopt;
  const auto reached = parse_destination("http", std::string(request[http::field::host]));
  if (reached.ok() && is_loopback_host(reached->host)) return std::nullopt;
  return HttpRefusal{403,
                     "got a page's connection to a name that is not this machine's, expected "
                     "127.0.0.1, [::1] or localhost"};
}

/// Takes what has no body; the failure, if it is no request.
boost::system::error_code parse(const std::string& head, UpgradeRequest& request) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<uint32_t>(head.size() + 1));
  boost::system::error_code failed;
  parser.put(boost::asio::buffer(head), failed);
  if (!failed) request = parser.release();
  return failed;
}

}  // namespace

Result<void> check_origins(const OriginPolicy& policy) {
  for (const std::string& one : policy.allowed) {
    const size_t scheme = one.find("://");
    const bool is_origin = scheme != std::string::npos && is_http_token(one.substr(0, scheme)) &&
                           parse_destination("http", one.substr(scheme + 3)).ok();
    if (one != kAny && one != kOpaque && !is_origin)
      return Error{ErrorCode::kInvalidArgument,
                   "[origins_allow] got '" + one +
                       "', expected SCHEME://HOST[:PORT] as a browser tells it, null or *"};
  }
  return {};
}

bool asks_for_websocket(const std::string& head) {
  UpgradeRequest request;
  return !parse(head, request) && boost::beast::websocket::is_upgrade(request);
}

std::optional<HttpRefusal> parse_handshake(const std::string& head, const OriginPolicy& policy,
                                           UpgradeRequest& request) {
  if (const auto failed = parse(head, request))
    return HttpRefusal{400, "got a bad request: " + failed.message()};
  if (auto fault = origin_fault(request, policy)) return fault;
  if (auto fault = framing_fault(request, request.version())) return fault;
  if (boost::beast::websocket::is_upgrade(request)) return std::nullopt;
  return HttpRefusal{426,
                     "got a request that is no WebSocket handshake; this is a Pie server, which "
                     "the command pie and the client libraries speak to",
                     {{"upgrade", "websocket"}}};
}

}  // namespace pie::net
