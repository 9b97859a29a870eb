#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

namespace pie {
namespace {

/// What a first byte promises (RFC 3629, section 4): sequence length and the bounds of byte two.
struct Lead {
  size_t length = 0;  ///< 0: not a first byte
  uint8_t low = 0x80, high = 0xBF;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

struct Scan {
  size_t length;  ///< bytes of the sequence that were there and right
  bool whole;     ///< they make a character
  bool at_end;    ///< not whole only because the bytes ended
};

Scan scan_one(std::string_view bytes) {
  const Lead lead = lead_of(static_cast<uint8_t>(bytes[0]));
  if (lead.length == 0) return {1, false, false};
  for (size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {i, false, true};
    const auto byte = static_cast<uint8_t>(bytes[i]);
    const bool good = i == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!good) return {i, false, false};
  }
  return {lead.length, true, false};
}

/// Whether a whole character does something to a terminal instead of showing on it.
bool is_unseen(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  if (character.size() == 2) return first == 0xC2 && static_cast<uint8_t>(character[1]) < 0xA0;
  constexpr std::string_view kMarks[] = {
      "\xEF\xBB\xBF", "\xE2\x80\x8E", "\xE2\x80\x8F", "\xE2\x80\xA8", "\xE2\x80\xA9",
      "\xE2\x80\xAA", "\xE2\x80\xAB", "\xE2\x80\xAC", "\xE2\x80\xAD", "\xE2\x80\xAE",
      "\xE2\x81\xA6", "\xE2\x81\xA7", "\xE2\x81\xA8", "\xE2\x81\xA9"};
  return std::ranges::find(kMarks, character) != std::end(kMarks);
}

std::string escape_unseen(std::string_view bytes, std::string_view kept) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Scan scan = scan_one(bytes);
    const std::string_view one = bytes.substr(0, scan.whole ? scan.length : 1);
    bytes.remove_prefix(one.size());
    if (scan.whole && (!is_unseen(one) || kept.find(one) != std::string_view::npos)) {
      text.append(one);
    } else if (one == "\n" || one == "\t") {
      text.append(one == "\n" ? "\\n" : "\\t");
    } else {
      for (const char c : one) {
        const auto byte = static_cast<uint8_t>(c);
        constexpr char kDigits[] = "0123456789abcdef";
        text.append("\\x").append({kDigits[byte >> 4], kDigits[byte & 15]});
      }
    }
  }
  return text;
}

}  // namespace

std::string printable_text(std::string_view bytes) { return escape_unseen(bytes, "\n\t"); }
std::string printable_line(std::string_view bytes) { return escape_unseen(bytes, ""); }

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Scan scan = scan_one(bytes);
    if (!scan.whole) return false;
    bytes.remove_prefix(scan.length);
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Scan scan = scan_one(bytes);
    if (scan.whole) {
      text.append(bytes.substr(0, scan.length));
      bytes.remove_prefix(scan.length);
    } else {
      text.append("\xEF\xBF\xBD");
      bytes.remove_prefix(1);
    }
  }
  return text;
}

std::string shortened(std::string text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const size_t whole = text.size();
  text.resize(bytes_max);
  text.resize(text.size() - utf8_incomplete_suffix(text));
  return text + "\u2026 (" + std::to_string(whole - text.size()) + " bytes more)";
}

size_t utf8_incomplete_suffix(std::string_view bytes) {
  for (size_t n = 1; n <= std::min<size_t>(3, bytes.size()); ++n) {
    const std::string_view tail = bytes.substr(bytes.size() - n);
    if (lead_of(static_cast<uint8_t>(tail[0])).length > 0) {
      const Scan scan = scan_one(tail);
      return scan.at_end && scan.length == n ? n : 0;
    }
  }
  return 0;
}

std::string Utf8Stream::push(std::string_view bytes) {
  held_.append(bytes);
  const size_t keep = utf8_incomplete_suffix(held_);
  std::string ready = to_utf8(std::string_view(held_).substr(0, held_.size() - keep));
  held_.erase(0, held_.size() - keep);
  return ready;
}

std::string Utf8Stream::finish() { return to_utf8(std::exchange(held_, {})); }

}  // namespace pie
