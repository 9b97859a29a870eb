#include "wasm/trap_text.h"

#include <string_view>

namespace pie::wasm {
namespace {

constexpr std::string_view kBacktrace = "wasm backtrace:";
constexpr std::string_view kCauses = "Caused by:";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \n\t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \n\t") - first + 1);
}

}  // namespace

std::string cause_of(const wasmtime_error_t& error) {
  const std::string text = text_of(error);
  const size_t causes = text.find(kCauses);
  if (causes != text.npos)
    return std::string(trimmed(std::string_view(text).substr(causes + kCauses.size())));
  return std::string(trimmed(std::string_view(text).substr(0, text.find(kBacktrace))));
}

std::string backtrace_of(const wasmtime_error_t& error) {
  const std::string text = text_of(error);
  const size_t start = text.find(kBacktrace);
  if (start == text.npos) return {};
  const size_t end = text.find(kCauses, start);
  std::string trace = "\n";
  trace.append(trimmed(std::string_view(text).substr(start, end - start)));
  return trace;
}

}  // namespace pie::wasm
