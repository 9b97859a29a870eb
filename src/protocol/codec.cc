#include "protocol/codec.h"

#include <fmt/format.h>

#include <exception>
#include <new>
#include <utility>

#include "protocol/codec_fields.h"
#include "protocol/codec_reader.h"
#include "protocol/codec_writer.h"

namespace pie::protocol {
namespace {

constexpr uint16_t kCloseInvalidPayload = 1007;   // RFC 6455, section 7.4.1
constexpr uint16_t kClosePolicyViolation = 1008;  // RFC 6455, section 7.4.1

DecodeError bad_frame(uint16_t close_code, std::string message) {
  DecodeError error;
  error.close_code = close_code;
  error.error = {ErrorCode::kInvalidArgument, std::move(message)};
  return error;
}

std::optional<uint32_t> read_corr_id(const detail::Reader& reader) {
  const msgpack::object* found = reader.find("corr_id");
  if (found == nullptr || found->type != msgpack::type::POSITIVE_INTEGER ||
      found->via.u64 > UINT32_MAX) {
    return std::nullopt;
  }
  return static_cast<uint32_t>(found->via.u64);
}

/// Fills the alternative whose kType is `type`. False when there is none.
template <class Message, size_t I = 0>
bool fill(std::string_view type, const msgpack::object_map& map, Message& message,
          std::string& problem) {
  if constexpr (I == std::variant_size_v<Message>) {
    return false;
  } else {
    using Alternative = std::variant_alternative_t<I, Message>;
    if (Alternative::kType != type) return fill<Message, I + 1>(type, map, message, problem);
    detail::Reader reader(map, type);
    detail::describe(reader, message.template emplace<I>());
    problem = reader.problem();
    return true;
  }
}

template <class Message>
std::variant<Message, DecodeError> read_map(const msgpack::object_map& map) {
  const detail::Reader reader(map, "frame");
  DecodeError error;
  error.corr_id = read_corr_id(reader);
  error.error.code = ErrorCode::kInvalidArgument;
  const msgpack::object* type = reader.find("type");
  if (type == nullptr || type->type != msgpack::type::STR) {
    error.error.message = "[frame] got no text field 'type', expected one";
    return error;
  }
  error.type.assign(type->via.str.ptr, type->via.str.size);
  Message message;
  if (!fill(error.type, map, message, error.error.message)) {
    error.error.message =
        fmt::format("[frame] got the unknown type '{}', expected one of the protocol's messages",
                    error.type.substr(0, 64));
    return error;
  }
  if (!error.error.message.empty()) return error;
  return message;
}

bool keep_reference(msgpack::type::object_type, size_t, void*) { return true; }

/// Strings and binary data of the result point into `frame`.
template <class Message>
std::variant<Message, DecodeError> decode(std::string_view frame, const DecodeLimits& limits) {
  if (frame.size() > limits.frame_bytes_max) {
    return bad_frame(kClosePolicyViolation, fmt::format("[frame] got {} bytes, expected at most {}",
                                                        frame.size(), limits.frame_bytes_max));
  }
  try {
    const msgpack::unpack_limit bounds(limits.array_items_max, limits.map_items_max, frame.size(),
                                       frame.size(), 0, limits.depth_max);
    msgpack::zone zone;
    size_t offset = 0;
    bool referenced = false;
    const msgpack::object object = msgpack::unpack(zone, frame.data(), frame.size(), offset,
                                                   referenced, keep_reference, nullptr, bounds);
    if (offset != frame.size()) {
      return bad_frame(kCloseInvalidPayload,
                       "[frame] got bytes after the MessagePack value, "
                       "expected one value a frame");
    }
    if (object.type != msgpack::type::MAP) {
      return bad_frame(kClosePolicyViolation,
                       "[frame] got a MessagePack value that is not a map, "
                       "expected a map with string keys");
    }
    return read_map<Message>(object.via.map);
  } catch (const std::bad_alloc&) {
    throw;  // not the frame's fault
  } catch (const std::exception& e) {
    return bad_frame(
        kCloseInvalidPayload,
        fmt::format(
            "[frame] got bytes that are not MessagePack within the limits ({}), expected one map",
            e.what()));
  }
}

template <class Message>
std::string encode_any(const Message& message) {
  std::string out;
  detail::Writer writer(out);
  std::visit([&](const auto& m) { writer.message(m); }, message);
  return out;
}

}  // namespace

DecodedClientMessage decode_client_message(std::string_view frame, const DecodeLimits& limits) {
  return decode<ClientMessage>(frame, limits);
}

DecodedServerMessage decode_server_message(std::string_view frame, const DecodeLimits& limits) {
  return decode<ServerMessage>(frame, limits);
}

std::string encode(const ClientMessage& message) { return encode_any(message); }
std::string encode(const ServerMessage& message) { return encode_any(message); }

}  // namespace pie::protocol
