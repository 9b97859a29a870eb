#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "instance/event.h"
#include "protocol/messages.h"

namespace pie::server {

/// The longest text of a message or of an end, which travel in one frame: as long as a program's
/// longest message (InstanceLimits::message_bytes_max).
inline constexpr size_t kEventTextBytesMax = 16U << 20;

/// An event as the wire says it: one message, a blob's chunks, or output in frames of at most a
/// MiB. A longer text of a message or an end is shortened, with a mark.
std::vector<protocol::ServerMessage> event_messages(const std::string& instance_id,
                                                    const instance::Event& event);

}  // namespace pie::server
