#pragma once
#include <set>
#include <string>

#include "base/result.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// What a component exports.
struct Exports {
  std::set<std::string> interfaces;  ///< without versions
  ExportIndex run;                   ///< inferlet:core/run#run; null: not exported
  ExportIndex handler;               ///< wasi:http/incoming-handler#handle; null: not exported

  /// kInvalidArgument when there is neither entry, or one of another shape or version.
  static Result<Exports> of(const wasmtime_component_t& component,
                            const wasmtime_component_type_t& type, const wasm_engine_t* engine);
};

}  // namespace pie::wasm
