#pragma once
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <optional>

#include "base/result.h"
#include "net/http_head.h"
#include "net/ws_connection.h"

namespace pie::net {

using UpgradeRequest = boost::beast::http::request<boost::beast::http::empty_body>;

/// kInvalidArgument names an origin of the configuration that is none.
Result<void> check_origins(const OriginPolicy& policy);
/// Whether a whole head asks for a WebSocket.
bool asks_for_websocket(const std::string& head);
/// Takes the head of a handshake. The refusal when it is none, or when it is a foreign page's.
std::optional<HttpRefusal> parse_handshake(const std::string& head, const OriginPolicy& policy,
                                           UpgradeRequest& request);

}  // namespace pie::net
