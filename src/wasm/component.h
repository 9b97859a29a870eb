#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wasm/exports.h"
#include "wasm/host_functions.h"
#include "wasm/needs.h"
#include "wasm/runtime.h"
#include "wasm/wasmtime_engine.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

class LinkedComponent;

/// One function that a component imports; what wasmtime hands back to us at each call.
struct Import {
  std::string name;              ///< "interface#function"
  const HostFunction* function;  ///< null: not served
  std::string unserved_message;  ///< ends the instance that calls it; empty: none was registered
  bool refusable;                ///< wasi:*: answered by a refusal, if its result type has one
  const LinkedComponent* component;
};

/// A compiled component with everything that it imports defined in a linker of its own: the linker
/// never changes afterwards, so instantiation needs no lock. Each interface is defined once,
/// under one version, which serves every 0.2.x that the component asks for.
class LinkedComponent final : public Component {
 public:
  /// Reflects over the component's imports, exports and needs. kInvalidArgument names what is
  /// wrong.
  static Result<std::shared_ptr<const LinkedComponent>> link(
      std::shared_ptr<const WasmtimeEngine> engine, RawComponent component, const std::string& hash,
      const HostFunctions& functions);

  const std::string& hash() const override { return hash_; }
  bool exports(const std::string& interface) const override {
    return exports_.interfaces.contains(interface);
  }

  const Needs& needs() const { return needs_; }
  const WasmtimeEngine& engine() const { return *engine_; }
  const wasmtime_component_t* raw() const { return component_.get(); }
  const wasmtime_component_linker_t* linker() const { return linker_.get(); }
  /// The function that the entry names; null when it is not exported.
  const wasmtime_component_export_index_t* entry_export(EntryPoint entry) const {
    return entry == EntryPoint::kRun ? exports_.run.get() : exports_.handler.get();
  }
  /// The number of a resource ("interface/name") in the linker; 0 when it is not imported.
  uint32_t resource_number(std::string_view name) const;
  /// The name of the resource that a type stands for; empty for the guest's own.
  std::string resource_name(const wasmtime_component_resource_type_t* type) const;

 private:
  friend class ComponentLinker;
  LinkedComponent() = default;

  std::shared_ptr<const WasmtimeEngine> engine_;
  std::string hash_;
  Needs needs_;
  Exports exports_;
  std::map<std::string, uint32_t, std::less<>> resources_;
  std::vector<std::unique_ptr<Import>> imports_;
  RawComponent component_;
  Linker linker_;
};

}  // namespace pie::wasm
