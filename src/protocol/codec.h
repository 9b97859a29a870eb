#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "protocol/messages.h"

/// MessagePack (msgpack.org spec, 2013 and later) to messages and back: one map with string keys
/// per frame, tagged by "type". Unknown keys are ignored. Pure functions, any thread.
namespace pie::protocol {

/// Bounds that a frame is held to before anything is allocated for it.
struct DecodeLimits {
  size_t frame_bytes_max = 16u << 20;
  uint32_t array_items_max = 65'536;
  uint32_t map_items_max = 256;
  uint32_t depth_max = 8;
};

/// Why a frame is not a message, and how the receiver ought to answer.
struct DecodeError {
  /// When it could be read: answer with response{successful: false, result: error.message}.
  std::optional<uint32_t> corr_id;
  /// Otherwise close with this WebSocket code and error.message as the reason: 1007 for bytes that
  /// are not MessagePack (or text that is not UTF-8), 1008 for everything else.
  uint16_t close_code = 1008;
  /// The frame's `type`, when it could be read.
  std::string type;
  Error error;
};

using DecodedClientMessage = std::variant<ClientMessage, DecodeError>;
using DecodedServerMessage = std::variant<ServerMessage, DecodeError>;

/// What a server receives.
DecodedClientMessage decode_client_message(std::string_view frame, const DecodeLimits& limits = {});
/// What a client receives.
DecodedServerMessage decode_server_message(std::string_view frame, const DecodeLimits& limits = {});

std::string encode(const ClientMessage& message);
std::string encode(const ServerMessage& message);

}  // namespace pie::protocol
