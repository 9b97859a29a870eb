#include <fmt/format.h>

#include <array>

#include "exec/executor.h"

namespace pie::exec {
namespace {
constexpr std::array kFormats = {KvFormat::kF16, KvFormat::kBf16, KvFormat::kQ8};
}

const char* kv_format_name(KvFormat format) {
  switch (format) {
    case KvFormat::kBf16: return "bf16";
    case KvFormat::kQ8: return "q8";
    case KvFormat::kF16: break;
  }
  return "f16";
}

Result<KvFormat> parse_kv_format(std::string_view name) {
  for (const KvFormat format : kFormats) {
    if (name == kv_format_name(format)) return format;
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("[kv_format] got '{}', expected f16, bf16 or q8", name)};
}

}  // namespace pie::exec
