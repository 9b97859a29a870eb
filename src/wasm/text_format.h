#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pie::wasm {

/// The binary form of a component or module in WebAssembly's text format. kInvalidArgument shows
/// the line that is wrong. For tests and tools; programs come in binary form.
Result<std::vector<uint8_t>> from_text_format(std::string_view text);

}  // namespace pie::wasm
