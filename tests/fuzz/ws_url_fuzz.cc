#include "fuzz.h"
#include "net/ws_url.h"

/// Addresses: host and port are never empty, and hold nothing that could become another header.
void pie::fuzz::fuzz(std::string_view input) {
  const auto url = net::parse_ws_url(input);
  if (!url.ok()) return;
  MUST(!url->host.empty() && !url->port.empty());
  MUST(!url->target.empty() && url->target.front() == '/');
  for (const std::string* part : {&url->host, &url->port, &url->target})
    MUST(part->find_first_of("\r\n") == std::string::npos);
}
