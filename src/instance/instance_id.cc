#include "instance/instance_id.h"

#include <openssl/rand.h>

#include <array>
#include <string>
#include <string_view>

#include "base/check.h"

namespace pie::instance {
namespace {

constexpr char kDigits[] = "0123456789abcdef";
constexpr size_t kIdBytes = 36;

bool is_dash_place(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

std::string make_instance_id() {
  std::array<unsigned char, 16> bytes{};
  PIE_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  std::string id;
  for (const unsigned char byte : bytes) {
    if (is_dash_place(id.size())) id += '-';
    id += kDigits[byte >> 4];
    id += kDigits[byte & 15];
  }
  return id;
}

bool is_instance_id(std::string_view text) {
  if (text.size() != kIdBytes) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = std::string_view(kDigits, 16).find(text[i]) != std::string_view::npos;
    if (is_dash_place(i) ? text[i] != '-' : !digit) return false;
  }
  return true;
}

}  // namespace pie::instance
