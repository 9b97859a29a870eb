#pragma once
#include <memory>

#include "net/receive_budget.h"
#include "net/served_connection.h"
#include "net/ws_connection.h"
#include "net/ws_handshake.h"

namespace pie::net {

/// What the WebSockets of one port share.
struct WsShared {
  explicit WsShared(WsRoute given)
      : route(std::move(given)),
        budget(route.config.user_receive_bytes_max, route.config.total_receive_bytes_max) {}
  const WsRoute route;
  ReceiveBudget budget;
};

/// The server's end of a WebSocket whose handshake, `request`, is to be answered within
/// `answer_ms_max`.
std::shared_ptr<ServedConnection> serve_websocket(Accepted accepted,
                                                  std::shared_ptr<WsShared> shared,
                                                  UpgradeRequest request, uint64_t answer_ms_max);

}  // namespace pie::net
