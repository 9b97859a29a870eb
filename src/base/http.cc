#include "base/http.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace pie {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_token_character(char c) {
  if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_http_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

bool is_http_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

bool is_http_target(std::string_view text) {
  return text.starts_with('/') && std::all_of(text.begin(), text.end(), [](char c) {
           return c > 0x20 && c < 0x7f && c != '#';
         });
}

bool is_http_authority(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("/?#@\\").find(c) == std::string_view::npos;
  });
}

bool same_field_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* find_field(const HttpFields& fields, std::string_view name) {
  for (const auto& [key, value] : fields)
    if (same_field_name(key, name)) return &value;
  return nullptr;
}

std::optional<uint64_t> content_length(const HttpFields& fields) {
  const std::string* text = find_field(fields, "content-length");
  uint64_t bytes = 0;
  if (!text) return std::nullopt;
  const char* end = text->data() + text->size();
  const auto [at, failed] = std::from_chars(text->data(), end, bytes);
  return failed == std::errc() && at == end ? std::optional(bytes) : std::nullopt;
}

bool is_connection_field(std::string_view name) {
  constexpr std::array<std::string_view, 9> kNames = {
      "connection", "host",    "http2-settings",    "keep-alive", "proxy-connection",
      "te",         "trailer", "transfer-encoding", "upgrade"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view one) { return same_field_name(one, name); });
}

}  // namespace pie
