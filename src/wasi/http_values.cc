#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

#include "wasi/http_objects.h"

namespace pie::wasi {
namespace {

using wasm::Value;

constexpr std::array<std::string_view, 9> kMethods = {
    "get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"};

/// Cases of error-code that carry an option which we leave empty.
constexpr std::array<std::string_view, 8> kWithSize = {"HTTP-request-body-size",
                                                       "HTTP-request-header-section-size",
                                                       "HTTP-request-header-size",
                                                       "HTTP-request-trailer-section-size",
                                                       "HTTP-response-header-section-size",
                                                       "HTTP-response-body-size",
                                                       "HTTP-response-trailer-section-size",
                                                       "HTTP-response-transfer-coding"};

std::string in_case(std::string_view text, int (*convert)(int)) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(convert(static_cast<unsigned char>(c)));
  return out;
}

Value detail_of(const HttpFailure& failure) {
  return failure.detail.empty() ? Value::none() : Value::some(Value::string(failure.detail));
}

}  // namespace

Value error_code(const HttpFailure& failure) {
  const std::string& code = failure.code;
  if (code == "internal-error") return Value::variant(code, detail_of(failure));
  if (code == "DNS-error")
    return Value::variant(
        code, Value::record({{"rcode", detail_of(failure)}, {"info-code", Value::none()}}));
  if (std::find(kWithSize.begin(), kWithSize.end(), code) != kWithSize.end())
    return Value::variant(code, Value::none());
  return Value::variant(code);
}

Value method_value(const std::string& method) {
  const std::string name = in_case(method, std::tolower);
  const bool known = std::find(kMethods.begin(), kMethods.end(), name) != kMethods.end();
  if (known && method == in_case(name, std::toupper)) return Value::variant(name);
  return Value::variant("other", Value::string(method));
}

std::string method_name(const wasm::VariantCase& method) {
  if (method.name != "other") return in_case(method.name, std::toupper);
  return is_http_token(method.text) ? method.text : "";
}

Value scheme_value(const std::string& scheme) {
  if (scheme == "http") return Value::variant("HTTP");
  if (scheme == "https") return Value::variant("HTTPS");
  return Value::variant("other", Value::string(scheme));
}

}  // namespace pie::wasi
