#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace pie::model {

/// Bytes of the character that begins with this byte, in well-formed UTF-8.
constexpr size_t character_size(char first) {
  const auto byte = static_cast<uint8_t>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// The character at `at` of well-formed UTF-8.
constexpr uint32_t code_point(std::string_view text, size_t at) {
  const size_t size = character_size(text[at]);
  uint32_t value = static_cast<uint8_t>(text[at]) & (size == 1 ? 0x7FU : 0xFFU >> (size + 1));
  for (size_t i = 1; i < size; ++i) value = value << 6 | (static_cast<uint8_t>(text[at + i]) & 63U);
  return value;
}

/// All of them.
inline std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> out;
  for (size_t at = 0; at < text.size(); at += character_size(text[at]))
    out.push_back(code_point(text, at));
  return out;
}

}  // namespace pie::model
