#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace pie::wasm {

/// A 64-bit checksum against accidental damage of files, not against an attacker: four lanes of
/// multiply and rotate over 8-byte words, many gigabytes a second.
inline uint64_t checksum(std::string_view bytes) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;
  const auto mix = [](uint64_t lane, uint64_t word) {
    lane = (lane ^ word) * kOdd;
    return (lane << 29) | (lane >> 35);
  };
  uint64_t lanes[4] = {1, 2, 3, bytes.size()};
  size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    uint64_t words[4];
    std::memcpy(words, bytes.data() + at, 32);
    for (int i = 0; i < 4; ++i) lanes[i] = mix(lanes[i], words[i]);
  }
  for (; at < bytes.size(); ++at)
    lanes[at % 4] = mix(lanes[at % 4], static_cast<uint8_t>(bytes[at]));
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum = mix(sum, lane ^ (lane >> 32));
  return sum ^ (sum >> 31);
}

}  // namespace pie::wasm
