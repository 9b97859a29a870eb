#include "server/setting.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/toml_text.h"

namespace pie::server {
namespace {

template <class Integer>
bool parse(std::string_view text, Integer& value) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end == text.data() + text.size();
}

/// The texts between commas, without blanks around them; empty ones are none.
std::vector<std::string> comma_separated(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    const size_t first = part.find_first_not_of(" \t"), last = part.find_last_not_of(" \t");
    if (first != part.npos) parts.emplace_back(part.substr(first, last - first + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

std::string Setting::key() const {
  return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
}

std::string Setting::variable() const {
  std::string out = "PIE_" + key();
  for (char& c : out) c = c == '.' ? '_' : static_cast<char>(std::toupper(c));
  return out;
}

std::string Setting::toml() const {
  return std::visit(
      [](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) return *value ? "true" : "false";
        if constexpr (std::is_same_v<T, std::string>) return toml_string(*value);
        if constexpr (std::is_same_v<T, Texts>) {
          std::string list;
          for (const std::string& one : *value)
            list += (list.empty() ? "" : ", ") + toml_string(one);
          return "[" + list + "]";
        }
        if constexpr (std::is_same_v<T, std::filesystem::path>) return toml_string(value->string());
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return std::to_string(*value);
      },
      place);
}

std::string Setting::expected() const {
  return std::visit(
      [this](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) return "true or false";
        if constexpr (std::is_same_v<T, std::string>) return "text";
        if constexpr (std::is_same_v<T, Texts>) return "a list of texts";
        if constexpr (std::is_same_v<T, std::filesystem::path>) return "a path, as text";
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return "a number from " + std::to_string(least) + " to " +
                 std::to_string(std::min<uint64_t>(std::numeric_limits<T>::max(), most));
      },
      place);
}

std::string Setting::plain() const {
  if (const auto* text = std::get_if<std::string*>(&place)) return **text;
  if (const auto* path = std::get_if<std::filesystem::path*>(&place)) return (*path)->string();
  if (const auto* texts = std::get_if<Texts*>(&place)) {
    std::string list;
    for (const std::string& one : **texts) list += (list.empty() ? "" : ",") + one;
    return list;
  }
  return toml();
}

Result<void> Setting::set(std::string_view text) {
  const bool is_right = std::visit(
      [&](auto* value) {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) {
          *value = text == "true";
          return text == "true" || text == "false";
        } else if constexpr (std::is_integral_v<T>) {
          return parse(text, *value) && *value >= least && *value <= most;
        } else if constexpr (std::is_same_v<T, Texts>) {
          *value = comma_separated(text);
          return true;
        } else {
          *value = T(text);
          return true;
        }
      },
      place);
  if (is_right) return {};
  return Error{ErrorCode::kInvalidArgument,
               "[" + key() + "] got '" + std::string(text) + "', expected " + expected()};
}

}  // namespace pie::server
