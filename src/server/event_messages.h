#pragma once
#include <string>
#include <vector>

#include "instance/event.h"
#include "protocol/messages.h"

namespace pie::server {

/// An event as the wire says it: one message, or a blob's chunks.
std::vector<protocol::ServerMessage> event_messages(const std::string& instance_id,
                                                    const instance::Event& event);

}  // namespace pie::server
