#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "wasm/wasmtime_ptr.h"

// What a component's imports and exports are read with.

namespace pie::wasm {

inline Error invalid_component(std::string message) {
  return {ErrorCode::kInvalidArgument, "[component] " + std::move(message)};
}

/// An import or export; deleted with its scope.
struct ExternItem : wasmtime_component_item_t {
  explicit ExternItem(const wasmtime_component_extern_t* source) {
    wasmtime_component_extern_type(source, this);
  }
  ~ExternItem() { wasmtime_component_item_delete(this); }
  ExternItem(const ExternItem&) = delete;
  ExternItem& operator=(const ExternItem&) = delete;
};

/// Visits every item that `kNth` gives of a type, up to the first error.
template <auto kNth, class Type>
Result<void> each(
    const Type* type, const wasm_engine_t* engine,
    const std::function<Result<void>(const std::string& name, const ExternItem&)>& visit) {
  const char* name = nullptr;
  size_t length = 0;
  wasmtime_component_extern_t* raw = nullptr;
  for (size_t i = 0; kNth(type, engine, i, &name, &length, &raw); ++i) {
    const Extern owned(raw);
    const ExternItem item(raw);
    PIE_TRY(visit(std::string(name, length), item));
  }
  return {};
}

inline std::string without_version(std::string_view name) {
  return std::string(name.substr(0, name.find('@')));
}

inline bool is_wasi(std::string_view name) { return name.starts_with("wasi:"); }

/// "", "@0.2.x" and the like; wasi:* is served in versions 0.2.x alone.
inline bool version_served(std::string_view name) {
  const size_t at = name.find('@');
  return !is_wasi(name) || at == name.npos || name.substr(at).starts_with("@0.2.");
}

}  // namespace pie::wasm
