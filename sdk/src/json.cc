#include "pie/json.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace inferlet {
namespace {

void write_text(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "null";
  // The shortest of the usual precisions that reads back as the same.
  char text[32];
  for (const int digits : {15, 16, 17}) {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  return text;
}

}  // namespace

std::string Json::text() const {
  std::string out;
  write(out);
  return out;
}

void Json::write(std::string& out) const {
  if (is_null()) out += "null";
  if (const bool* value = boolean()) out += *value ? "true" : "false";
  if (const int64_t* value = integer()) out += std::to_string(*value);
  if (const double* value = real()) out += number_text(*value);
  if (const std::string* value = string()) write_text(out, *value);
  if (const Array* items = array()) {
    out += '[';
    for (const Json& item : *items) {
      if (&item != items->data()) out += ',';
      item.write(out);
    }
    out += ']';
  }
  if (const Object* members = object()) {
    out += '{';
    for (const auto& member : *members) {
      if (&member != members->data()) out += ',';
      write_text(out, member.first);
      out += ':';
      member.second.write(out);
    }
    out += '}';
  }
}

const Json* Json::find(std::string_view name) const {
  const Json* found = nullptr;
  if (const Object* members = object()) {
    for (const auto& [key, value] : *members)
      if (key == name) found = &value;
  }
  return found;
}

const char* Json::kind() const {
  constexpr const char* kKinds[] = {"null",     "a boolean", "a number", "a number",
                                    "a string", "an array",  "an object"};
  return kKinds[value_.index()];
}

}  // namespace inferlet
