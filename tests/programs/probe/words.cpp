#include <pie/message.h>

#include <cstdio>
#include <cstdlib>

#include "probe.h"

namespace probe {

void refuse(const std::string& why) {
  inferlet::send("bad command: " + why);
  std::exit(2);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Words::Words(std::string_view line) : words_(split(line, ' ')) {}

std::string Words::word() {
  if (done()) refuse("a word is missing");
  return words_[next_++];
}

std::string Words::text() { return unhex(word()); }

uint64_t Words::number64() {
  const std::string text = word();
  char* end = nullptr;
  const uint64_t number = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0') refuse("got '" + text + "', expected a number");
  return number;
}

uint32_t Words::number() { return static_cast<uint32_t>(number64()); }

float Words::real() {
  const std::string text = word();
  char* end = nullptr;
  const float number = std::strtof(text.c_str(), &end);
  if (text.empty() || *end != '\0') refuse("got '" + text + "', expected a number");
  return number;
}

std::vector<uint32_t> Words::list() { return parse_list(word()); }

std::vector<uint32_t> Words::positions() {
  const std::string text = word();
  if (!text.starts_with('@')) refuse("got '" + text + "', expected @LIST");
  return parse_list(std::string_view(text).substr(1));
}

std::vector<std::string> Words::rest() {
  std::vector<std::string> left(words_.begin() + static_cast<ptrdiff_t>(next_), words_.end());
  next_ = words_.size();
  return left;
}

std::vector<uint32_t> parse_list(std::string_view word) {
  std::vector<uint32_t> numbers;
  if (word == "-") return numbers;
  for (const std::string& part : split(word, ',')) {
    char* end = nullptr;
    numbers.push_back(static_cast<uint32_t>(std::strtoul(part.c_str(), &end, 10)));
    if (part.empty() || *end != '\0') refuse("got '" + part + "', expected a number in a list");
  }
  return numbers;
}

std::string unhex(std::string_view hex) {
  if (hex == "-") return {};
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size() + 1; i += 2) {
    const std::string pair(hex.substr(i, 2));
    char* end = nullptr;
    const unsigned long byte = std::strtoul(pair.c_str(), &end, 16);
    if (pair.size() != 2 || *end != '\0') refuse("got '" + pair + "', expected two digits");
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

std::string hex(std::string_view bytes) {
  if (bytes.empty()) return "-";
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    out += kDigits[static_cast<uint8_t>(byte) >> 4];
    out += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return out;
}

std::string hexes(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : " ") + hex(text);
  return out;
}

std::string join(std::span<const uint32_t> numbers) {
  if (numbers.empty()) return "-";
  std::string out;
  for (const uint32_t number : numbers) out += (out.empty() ? "" : ",") + std::to_string(number);
  return out;
}

std::string ok(const std::string& rest) { return rest.empty() ? "ok" : "ok " + rest; }

std::string Handles::add(abi::Handle handle) {
  handles_.push_back(handle);
  current_ = handles_.size() - 1;
  return ok(std::to_string(current_));
}

void Handles::use(uint32_t number) {
  at(number);
  current_ = number;
}

abi::Handle Handles::at(uint32_t number) const {
  if (number >= handles_.size() || handles_[number] == kGone) {
    refuse("no handle " + std::to_string(number) + " of that kind");
  }
  return handles_[number];
}

abi::Handle Handles::get() const { return at(current_); }

abi::Handle Handles::take() {
  const abi::Handle handle = get();
  handles_[current_] = kGone;
  for (uint32_t i = 0; i < handles_.size(); ++i) {
    if (handles_[i] != kGone) current_ = i;
  }
  return handle;
}

void block(abi::Handle pollable) {
  abi::pollable_block(pollable);
  abi::pollable_drop(pollable);
}

}  // namespace probe
