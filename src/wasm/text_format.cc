#include "wasm/text_format.h"

#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

Result<std::vector<uint8_t>> from_text_format(std::string_view text) {
  ByteVec binary;
  const WasmError error(wasmtime_wat2wasm(text.data(), text.size(), &binary));
  if (error) return Error{ErrorCode::kInvalidArgument, "[text format] " + text_of(*error)};
  const auto* bytes = reinterpret_cast<const uint8_t*>(binary.data);
  return std::vector<uint8_t>(bytes, bytes + binary.size);
}

}  // namespace pie::wasm
