#include "wasi/http_values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>

#include "wasm/wit_described.h"

namespace pie::wasi {
namespace {

constexpr std::array<std::string_view, 9> kMethods = {
    "get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"};

struct DnsError {
  std::optional<std::string> rcode;
  std::optional<uint16_t> info_code;
};
constexpr auto wit_type(const DnsError*) {
  return wasm::record(wasm::field("rcode", &DnsError::rcode),
                      wasm::field("info-code", &DnsError::info_code));
}
struct TlsAlert {
  std::optional<uint8_t> id;
  std::optional<std::string> message;
};
constexpr auto wit_type(const TlsAlert*) {
  return wasm::record(wasm::field("alert-id", &TlsAlert::id),
                      wasm::field("alert-message", &TlsAlert::message));
}
struct FieldSize {
  std::optional<std::string> name;
  std::optional<uint32_t> size;
};
constexpr auto wit_type(const FieldSize*) {
  return wasm::record(wasm::field("field-name", &FieldSize::name),
                      wasm::field("field-size", &FieldSize::size));
}

using Text = std::optional<std::string>;

struct ErrorCase {
  std::string_view name;
  std::string (*payload_text)() = nullptr;  ///< null: it carries nothing
  void (*write)(wasm::ValueWriter to, const Text& detail) = nullptr;
};
/// A case that carries a T, which we leave empty.
template <class T>
constexpr ErrorCase with(std::string_view name) {
  return {name, wasm::WitType<T>::text,
          [](wasm::ValueWriter to, const Text&) { wasm::WitType<T>::write(to, T{}); }};
}

const ErrorCase kErrorCases[] = {
    {"DNS-timeout"},
    {"DNS-error", wasm::WitType<DnsError>::text,
     [](wasm::ValueWriter to, const Text& detail) {
       wasm::WitType<DnsError>::write(to, {detail, std::nullopt});
     }},
    {"destination-not-found"},
    {"destination-unavailable"},
    {"destination-IP-prohibited"},
    {"destination-IP-unroutable"},
    {"connection-refused"},
    {"connection-terminated"},
    {"connection-timeout"},
    {"connection-read-timeout"},
    {"connection-write-timeout"},
    {"connection-limit-reached"},
    {"TLS-protocol-error"},
    {"TLS-certificate-error"},
    with<TlsAlert>("TLS-alert-received"),
    {"HTTP-request-denied"},
    {"HTTP-request-length-required"},
    with<std::optional<uint64_t>>("HTTP-request-body-size"),
    {"HTTP-request-method-invalid"},
    {"HTTP-request-URI-invalid"},
    {"HTTP-request-URI-too-long"},
    with<std::optional<uint32_t>>("HTTP-request-header-section-size"),
    with<std::optional<FieldSize>>("HTTP-request-header-size"),
    with<std::optional<uint32_t>>("HTTP-request-trailer-section-size"),
    with<FieldSize>("HTTP-request-trailer-size"),
    {"HTTP-response-incomplete"},
    with<std::optional<uint32_t>>("HTTP-response-header-section-size"),
    with<FieldSize>("HTTP-response-header-size"),
    with<std::optional<uint64_t>>("HTTP-response-body-size"),
    with<std::optional<uint32_t>>("HTTP-response-trailer-section-size"),
    with<FieldSize>("HTTP-response-trailer-size"),
    with<Text>("HTTP-response-transfer-coding"),
    with<Text>("HTTP-response-content-coding"),
    {"HTTP-response-timeout"},
    {"HTTP-upgrade-failed"},
    {"HTTP-protocol-error"},
    {"loop-detected"},
    {"configuration-error"},
    {"internal-error", wasm::WitType<Text>::text, wasm::WitType<Text>::write},
};

/// The case of this name; the last one, which says the least, when there is none.
const ErrorCase& error_case(std::string_view name) {
  for (const ErrorCase& one : kErrorCases)
    if (one.name == name) return one;
  return *std::rbegin(kErrorCases);
}

std::string in_case(std::string_view text, int (*convert)(int)) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(convert(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace
}  // namespace pie::wasi

namespace pie::wasm {

using namespace wasi;  // NOLINT: the types of this file

std::string WitType<HttpMethod>::text() {
  std::string all = "variant{";
  for (const std::string_view name : kMethods) all.append(name).append(", ");
  return all + "other(string)}";
}
HttpMethod WitType<HttpMethod>::read(ValueReader from) {
  const std::string_view name = from.variant_case();
  if (name != "other") return {in_case(name, std::toupper)};
  const std::string_view other = from.payload().text();
  return {std::string(is_http_token(other) ? other : "")};
}
void WitType<HttpMethod>::write(ValueWriter to, const HttpMethod& method) {
  const std::string name = in_case(method.name, std::tolower);
  const bool known = std::find(kMethods.begin(), kMethods.end(), name) != kMethods.end();
  if (known && method.name == in_case(name, std::toupper)) return to.variant(name);
  to.variant_with("other").text(method.name);
}

std::string WitType<HttpScheme>::text() { return "variant{HTTP, HTTPS, other(string)}"; }
HttpScheme WitType<HttpScheme>::read(ValueReader from) {
  const std::string_view name = from.variant_case();
  if (name == "HTTP") return {"http"};
  if (name == "HTTPS") return {"https"};
  return {std::string(from.payload().text())};
}
void WitType<HttpScheme>::write(ValueWriter to, const HttpScheme& scheme) {
  if (scheme.name == "http") return to.variant("HTTP");
  if (scheme.name == "https") return to.variant("HTTPS");
  to.variant_with("other").text(scheme.name);
}

std::string WitType<HttpErrorCode>::text() {
  std::string all;
  for (const ErrorCase& one : kErrorCases) {
    all += all.empty() ? "" : ", ";
    all += one.name;
    if (one.payload_text) all.append("(").append(one.payload_text()).append(")");
  }
  return "variant{" + all + "}";
}
HttpErrorCode WitType<HttpErrorCode>::read(ValueReader from) {
  return {{std::string(from.variant_case()), {}}};
}
void WitType<HttpErrorCode>::write(ValueWriter to, const HttpErrorCode& code) {
  const ErrorCase& one = error_case(code.failure.code);
  if (!one.write) return to.variant(one.name);
  const std::string& detail = code.failure.detail;
  one.write(to.variant_with(one.name), detail.empty() ? std::nullopt : Text(detail));
}

}  // namespace pie::wasm
