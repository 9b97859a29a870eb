#include "fuzz.h"
#include "protocol/codec.h"

/// What a server decodes: no input may end it, and what it took comes back the same.
void pie::fuzz::fuzz(std::string_view input) {
  using namespace pie::protocol;
  const auto decoded = decode_client_message(input);
  if (const auto* wrong = std::get_if<DecodeError>(&decoded)) {
    MUST(wrong->close_code == 1007 || wrong->close_code == 1008);
    MUST(!wrong->error.message.empty());
    return;
  }
  const auto& message = std::get<ClientMessage>(decoded);
  const auto again = decode_client_message(encode(message), {.frame_bytes_max = 1u << 30});
  MUST(std::holds_alternative<ClientMessage>(again));
  MUST(std::get<ClientMessage>(again) == message);
}
