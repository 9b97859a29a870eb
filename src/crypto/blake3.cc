#include "crypto/blake3.h"

#include <blake3.h>

#include <algorithm>
#include <array>

namespace pie::crypto {

struct Blake3::State {
  blake3_hasher hasher;
};

Blake3::Blake3() : state_(std::make_unique<State>()) { blake3_hasher_init(&state_->hasher); }
Blake3::~Blake3() = default;
Blake3::Blake3(Blake3&&) noexcept = default;
Blake3& Blake3::operator=(Blake3&&) noexcept = default;

void Blake3::update(std::span<const uint8_t> bytes) {
  blake3_hasher_update(&state_->hasher, bytes.data(), bytes.size());
}

void Blake3::update(std::string_view bytes) {
  blake3_hasher_update(&state_->hasher, bytes.data(), bytes.size());
}

std::string Blake3::hex() const {
  std::array<uint8_t, BLAKE3_OUT_LEN> out;
  blake3_hasher_finalize(&state_->hasher, out.data(), out.size());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * out.size());
  for (const uint8_t byte : out) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

std::string blake3_hex(std::span<const uint8_t> bytes) {
  Blake3 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string blake3_hex(std::string_view bytes) {
  Blake3 hash;
  hash.update(bytes);
  return hash.hex();
}

bool is_blake3_hex(std::string_view text) {
  return text.size() == 2 * BLAKE3_OUT_LEN && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace pie::crypto
