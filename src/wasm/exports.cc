#include "wasm/exports.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "wasm/reflection.h"

namespace pie::wasm {
namespace {

constexpr std::string_view kRunInterface = "inferlet:core/run";
constexpr std::string_view kHttpInterface = "wasi:http/incoming-handler";

/// Whether a function is `func() -> result<_, string>`.
bool is_run_function(const wasmtime_component_func_type_t* type) {
  if (wasmtime_component_func_type_param_count(type) != 0) return false;
  ValueType result;
  if (!wasmtime_component_func_type_result(type, &result)) return false;
  if (result.kind != WASMTIME_COMPONENT_VALTYPE_RESULT) return false;
  ValueType ok, err;
  if (wasmtime_component_result_type_ok(result.of.result, &ok)) return false;
  return wasmtime_component_result_type_err(result.of.result, &err) &&
         err.kind == WASMTIME_COMPONENT_VALTYPE_STRING;
}

/// Whether a function is `func(request: own<..>, response-out: own<..>)`.
bool is_handler_function(const wasmtime_component_func_type_t* type) {
  ValueType result;
  return wasmtime_component_func_type_param_count(type) == 2 &&
         !wasmtime_component_func_type_result(type, &result);
}

/// Whether an interface has a function of this name and shape.
Result<bool> has_function(const wasmtime_component_instance_type_t* type,
                          const wasm_engine_t* engine, std::string_view wanted,
                          bool (*is_of_shape)(const wasmtime_component_func_type_t*)) {
  bool found = false;
  PIE_TRY(each<wasmtime_component_instance_type_export_nth>(
      type, engine, [&](const std::string& name, const ExternItem& item) -> Result<void> {
        found |= name == wanted && item.kind == WASMTIME_COMPONENT_ITEM_COMPONENT_FUNC &&
                 is_of_shape(item.of.component_func);
        return {};
      }));
  return found;
}

/// A function of an exported interface; null when it has none of this name.
ExportIndex function_of(const wasmtime_component_t& component, const std::string& interface,
                        std::string_view name) {
  const ExportIndex outer(
      wasmtime_component_get_export_index(&component, nullptr, interface.data(), interface.size()));
  if (!outer) return nullptr;
  return ExportIndex(
      wasmtime_component_get_export_index(&component, outer.get(), name.data(), name.size()));
}

Result<ExportIndex> run_of(const wasmtime_component_t& component, const std::string& interface,
                           const wasmtime_component_instance_type_t* type,
                           const wasm_engine_t* engine) {
  PIE_TRY_ASSIGN(const bool found, has_function(type, engine, "run", is_run_function));
  if (!found)
    return invalid_component(
        fmt::format("got an export '{}' of another shape, expected 'run: func() -> "
                    "result<_, string>' in it",
                    kRunInterface));
  return function_of(component, interface, "run");
}

Result<ExportIndex> handler_of(const wasmtime_component_t& component, const std::string& interface,
                               const wasmtime_component_instance_type_t* type,
                               const wasm_engine_t* engine) {
  if (!version_served(interface))
    return invalid_component(
        fmt::format("got the export '{}', expected wasi:http 0.2.x; build the program for WASI 0.2",
                    interface));
  PIE_TRY_ASSIGN(const bool found, has_function(type, engine, "handle", is_handler_function));
  if (!found)
    return invalid_component(fmt::format(
        "got an export '{}' of another shape, expected 'handle: func(request: incoming-request, "
        "response-out: response-outparam)' in it",
        interface));
  return function_of(component, interface, "handle");
}

}  // namespace

Result<Exports> Exports::of(const wasmtime_component_t& component,
                            const wasmtime_component_type_t& type, const wasm_engine_t* engine) {
  Exports exports;
  PIE_TRY(each<wasmtime_component_type_export_nth>(
      &type, engine, [&](const std::string& name, const ExternItem& item) -> Result<void> {
        if (item.kind != WASMTIME_COMPONENT_ITEM_COMPONENT_INSTANCE) return {};
        const auto* interface = item.of.component_instance;
        const std::string base = without_version(name);
        exports.interfaces.insert(base);
        if (name == kRunInterface) {
          PIE_TRY_ASSIGN(exports.run, run_of(component, name, interface, engine));
        } else if (base == kHttpInterface) {
          PIE_TRY_ASSIGN(exports.handler, handler_of(component, name, interface, engine));
        }
        return {};
      }));
  if (exports.run || exports.handler) return Result<Exports>(std::move(exports));
  return invalid_component(
      fmt::format("got a component without the export '{}' (or '{}'), expected one of them; "
                  "export it, as the SDK does",
                  kRunInterface, kHttpInterface));
}

}  // namespace pie::wasm
