// Sends every message and blob back to the client. The message "quit" ends it.
//
//   --upper, -u   messages in upper case (ASCII letters)
//   --count, -c   end after so many messages and blobs (default: none)
#include <pie/inferlet.h>

#include <array>

namespace {

std::string upper(std::string text) {
  for (char& letter : text) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  return text;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  bool to_upper = false;
  int64_t count_max = 0;
  inferlet::ArgumentParser parser;
  parser.option("upper", 'u', &to_upper).option("count", 'c', &count_max);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());

  inferlet::MessageInbox messages;
  inferlet::BlobInbox blobs;
  int64_t count = 0;
  while (count_max == 0 || count < count_max) {
    if (auto message = messages.try_take()) {
      if (*message == "quit") break;
      inferlet::send(to_upper ? upper(std::move(*message)) : *message);
    } else if (auto blob = blobs.try_take()) {
      inferlet::send_blob(std::move(*blob));
    } else {
      const inferlet::Pollable message_ready = messages.pollable();
      const inferlet::Pollable blob_ready = blobs.pollable();
      inferlet::poll(std::array{&message_ready, &blob_ready});
      continue;
    }
    ++count;
  }
  return "echoed " + std::to_string(count);
}
