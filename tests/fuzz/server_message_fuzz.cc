#include "fuzz.h"
#include "protocol/codec.h"

/// What a client decodes: no input may end it, and what it took comes back the same.
void pie::fuzz::fuzz(std::string_view input) {
  using namespace pie::protocol;
  const auto decoded = decode_server_message(input);
  if (const auto* wrong = std::get_if<DecodeError>(&decoded)) {
    MUST(!wrong->error.message.empty());
    return;
  }
  const auto& message = std::get<ServerMessage>(decoded);
  const auto again = decode_server_message(encode(message), {.frame_bytes_max = 1u << 30});
  MUST(std::holds_alternative<ServerMessage>(again));
  MUST(std::get<ServerMessage>(again) == message);
}
