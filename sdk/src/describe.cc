#include "pie/describe.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace inferlet::described {
namespace {

std::string list(const char* const* names, size_t count) {
  std::string text;
  for (const char* name : std::span(names, count))
    text += (text.empty() ? "'" : ", '") + std::string(name) + "'";
  return text;
}

}  // namespace

std::unexpected<std::string> mismatch(const std::string& where, const Json& got,
                                      std::string_view expected) {
  return fail("[" + where + "] got " + got.kind() + ", expected " + std::string(expected));
}

Result<int64_t> whole(const Json& from, const std::string& where, int64_t least, int64_t most) {
  int64_t value = 0;
  if (const int64_t* integer = from.integer()) {
    value = *integer;
  } else if (const double* real = from.real();
             real != nullptr && *real == std::trunc(*real) && std::abs(*real) < 9e15) {
    value = static_cast<int64_t>(*real);
  } else {
    return mismatch(where, from, "a whole number");
  }
  if (value < least || value > most)
    return fail("[" + where + "] got " + std::to_string(value) + ", expected " +
                std::to_string(least) + " to " + std::to_string(most));
  return value;
}

Result<double> real(const Json& from, const std::string& where) {
  if (from.real() != nullptr) return *from.real();
  if (from.integer() != nullptr) return static_cast<double>(*from.integer());
  return mismatch(where, from, "a number");
}

Result<size_t> choice(const Json& from, const std::string& where, const char* const* names,
                      size_t count) {
  const std::string* text = from.string();
  if (text == nullptr) return mismatch(where, from, "one of " + list(names, count));
  const auto found = std::ranges::find(std::span(names, count), *text);
  const auto index = static_cast<size_t>(found - std::span(names, count).begin());
  if (index == count)
    return fail("[" + where + "] got '" + *text + "', expected one of " + list(names, count));
  return index;
}

Json schema_of_choice(const char* const* names, size_t count) {
  Json::Array values;
  for (const char* name : std::span(names, count)) values.emplace_back(name);
  return Json::Object{{"type", "string"}, {"enum", std::move(values)}};
}

Result<void> check_members(const Json& from, const std::string& where, const char* const* names,
                           size_t count) {
  if (from.object() == nullptr) return mismatch(where, from, "an object");
  for (const auto& [name, value] : *from.object()) {
    if (std::ranges::find(std::span(names, count), name) == std::span(names, count).end())
      return fail("[" + where + "] got the member '" + name + "', expected " +
                  (count == 0 ? "none" : "only " + list(names, count)));
  }
  return {};
}

}  // namespace inferlet::described
