#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::net {

/// Where a WebSocket server is.
struct WsUrl {
  bool tls = false;
  std::string host;
  std::string port;
  std::string target = "/";
};

/// Parses ws://HOST[:PORT][/PATH] and wss://...; IPv6 addresses in brackets.
Result<WsUrl> parse_ws_url(std::string_view text);

}  // namespace pie::net
