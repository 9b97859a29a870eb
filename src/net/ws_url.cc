#include "net/ws_url.h"

#include <fmt/format.h>

#include "base/http.h"

namespace pie::net {

Result<WsUrl> parse_ws_url(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[server address] got '{}', expected ws://HOST:PORT: {}", text, why)};
  };
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return wrong("it has a space or a control character");
  WsUrl url;
  const size_t scheme = text.find("://");
  const std::string name = lower_case(text.substr(0, scheme));
  if (scheme == text.npos || (name != "ws" && name != "wss"))
    return wrong("it must begin with ws:// or wss://");
  url.tls = name == "wss";
  std::string_view rest = text.substr(scheme + 3);
  if (rest.find('#') != rest.npos) return wrong("it has a #fragment, which no server ever sees");
  if (const size_t end = rest.find_first_of("/?"); end != rest.npos) {
    url.target = rest.substr(end);
    if (url.target.front() != '/') url.target.insert(0, "/");
    rest = rest.substr(0, end);
  }
  if (rest.find('@') != rest.npos)
    return wrong("it has a user before the @, who signs in otherwise (--user, authenticate)");
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos)
      return wrong("the bracket of its IPv6 address is not closed");
    url.host = rest.substr(1, end - 1);
    rest = rest.substr(end + 1);
  } else {
    const size_t colon = rest.find(':');
    url.host = rest.substr(0, colon);
    rest = colon == std::string_view::npos ? "" : rest.substr(colon);
  }
  if (url.host.empty()) return wrong("it names no host");
  if (!rest.empty() && rest.front() != ':') return wrong("something follows its closing bracket");
  url.port = url.tls ? "443" : "80";
  if (rest.empty()) return url;
  rest.remove_prefix(1);
  if (rest.empty() || rest.size() > 5 ||
      rest.find_first_not_of("0123456789") != std::string_view::npos ||
      std::stoul(std::string(rest)) > 65'535) {
    return wrong("its port is not a number up to 65535");
  }
  url.port = rest;
  return url;
}

}  // namespace pie::net
