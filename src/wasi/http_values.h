#pragma once
#include <string>

#include "base/http_call.h"
#include "wasm/wit_type.h"

namespace pie::wasi {

/// wasi:http's `method`. As an argument its name is empty when it can't be one.
struct HttpMethod {
  std::string name;
};
/// `scheme`: "http", "https", or what the program calls it.
struct HttpScheme {
  std::string name;
};
/// `error-code`: the failure's code is its case; of what it carries, only the detail is known.
struct HttpErrorCode {
  HttpFailure failure;
};

}  // namespace pie::wasi

namespace pie::wasm {

template <>
struct WitType<wasi::HttpMethod> {
  static std::string text();
  static wasi::HttpMethod read(ValueReader from);
  static void write(ValueWriter to, const wasi::HttpMethod& method);
};
template <>
struct WitType<wasi::HttpScheme> {
  static std::string text();
  static wasi::HttpScheme read(ValueReader from);
  static void write(ValueWriter to, const wasi::HttpScheme& scheme);
};
template <>
struct WitType<wasi::HttpErrorCode> {
  static std::string text();
  static wasi::HttpErrorCode read(ValueReader from);
  static void write(ValueWriter to, const wasi::HttpErrorCode& code);
};

}  // namespace pie::wasm
