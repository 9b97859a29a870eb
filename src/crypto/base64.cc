#include "crypto/base64.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

namespace pie::crypto {

std::string base64_encode(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  // OpenSSL writes a NUL after the text, which is where std::string keeps its own.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  const auto wrong = [](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("[base64] {}", why)};
  };
  std::string compact;
  compact.reserve(text.size());
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    const bool is_digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (!is_digit && c != '=') {
      return wrong(fmt::format("got the byte 0x{:02x}, expected letters, digits, '+', '/' and '='",
                               static_cast<unsigned char>(c)));
    }
    compact.push_back(c);
  }
  if (compact.size() % 4 != 0) {
    return wrong(fmt::format("got {} digits, expected a multiple of 4", compact.size()));
  }
  const size_t padding = compact.ends_with("==") ? 2 : compact.ends_with('=') ? 1 : 0;
  if (compact.find('=') < compact.size() - padding) return wrong("got '=' before the end");
  std::string out(compact.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(compact.data()),
                                   static_cast<int>(compact.size()));
  if (size < 0) return wrong("got text that does not decode");
  out.resize(static_cast<size_t>(size) - padding);
  return out;
}

}  // namespace pie::crypto
