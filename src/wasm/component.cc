#include "wasm/component.h"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

#include "wasm/bulk_shape.h"
#include "wasm/entry_points.h"
#include "wasm/reflection.h"
#include "wasm/type_text.h"

namespace pie::wasm {
namespace {

/// The version under which each wasi:* interface is defined; wasmtime matches any 0.2.x with it.
constexpr std::string_view kWasiVersion = "@0.2.12";

}  // namespace

/// Builds one LinkedComponent.
class ComponentLinker {
 public:
  ComponentLinker(LinkedComponent& target, const HostFunctions& functions)
      : target_(target), functions_(functions), engine_(target.engine_->get()) {}

  Result<void> run() {
    type_.reset(wasmtime_component_type(target_.component_.get()));
    target_.linker_.reset(wasmtime_component_linker_new(engine_));
    wasmtime_component_linker_allow_shadowing(target_.linker_.get(), true);
    for (const std::string& name : functions_.resources()) number_of(name);
    PIE_TRY(define_imports());
    PIE_TRY_ASSIGN(target_.exports_, Exports::of(*target_.component_, *type_, engine_));
    return {};
  }

 private:
  Result<void> define_imports() {
    return each<wasmtime_component_type_import_nth>(
        type_.get(), engine_,
        [this](const std::string& name, const ExternItem& item) -> Result<void> {
          if (item.kind == WASMTIME_COMPONENT_ITEM_TYPE) return {};
          const bool known = item.kind == WASMTIME_COMPONENT_ITEM_COMPONENT_INSTANCE &&
                             (is_wasi(name) || name.starts_with("inferlet:") ||
                              functions_.serves(without_version(name)));
          if (!known)
            return invalid_component(fmt::format(
                "got the import '{}', expected only interfaces of wasi:* (0.2.x), inferlet:* and "
                "pie:* that this server has; build the program against its WIT",
                name));
          if (!version_served(name))
            return invalid_component(fmt::format(
                "got the import '{}', expected WASI 0.2.x; build the program for WASI 0.2", name));
          return define_interface(name, item.of.component_instance);
        });
  }

  Result<void> define_interface(const std::string& name,
                                const wasmtime_component_instance_type_t* type) {
    const std::string base = without_version(name);
    const std::string canonical = is_wasi(name) ? base + std::string(kWasiVersion) : name;
    const LinkerInstance root(wasmtime_component_linker_root(target_.linker_.get()));
    wasmtime_component_linker_instance_t* raw = nullptr;
    PIE_TRY(check(wasmtime_component_linker_instance_add_instance(root.get(), canonical.data(),
                                                                  canonical.size(), &raw),
                  name));
    const LinkerInstance instance(raw);
    return each<wasmtime_component_instance_type_export_nth>(
        type, engine_, [&](const std::string& item_name, const ExternItem& item) -> Result<void> {
          switch (item.kind) {
            case WASMTIME_COMPONENT_ITEM_RESOURCE:
              return define_resource(*instance, base, item_name, item.of.resource);
            case WASMTIME_COMPONENT_ITEM_COMPONENT_FUNC:
              return define_function(*instance, base, item_name, item.of.component_func);
            case WASMTIME_COMPONENT_ITEM_TYPE: return {};
            default:
              return invalid_component(
                  fmt::format("got '{}' in the import '{}', expected functions and types only",
                              item_name, name));
          }
        });
  }

  Result<void> define_resource(wasmtime_component_linker_instance_t& instance,
                               const std::string& interface, const std::string& name,
                               const wasmtime_component_resource_type_t* type) {
    // `use`d from an interface that was imported before: defined there.
    if (!resource_name(type).empty()) return {};
    const std::string full = interface + "/" + name;
    seen_.push_back({ResourceType(wasmtime_component_resource_type_clone(type)), full});
    if (!defined_.insert(full).second) return {};
    const ResourceType host(wasmtime_component_resource_type_new_host(number_of(full)));
    return check(
        wasmtime_component_linker_instance_add_resource(&instance, name.data(), name.size(),
                                                        host.get(), drop_object, nullptr, nullptr),
        full);
  }

  Result<void> define_function(wasmtime_component_linker_instance_t& instance,
                               const std::string& interface, const std::string& name,
                               const wasmtime_component_func_type_t* type) {
    std::string full = interface + "#" + name;
    if (!defined_.insert(full).second) return {};
    const HostFunction* function = functions_.find(interface, name);
    if (function) PIE_TRY(check_type(*function, type));
    target_.imports_.push_back(std::make_unique<Import>(
        Import{full, function, unserved_message(interface), is_wasi(interface), &target_}));
    Import* import = target_.imports_.back().get();
    const auto shape = function ? bulk_shape_of(type) : std::nullopt;
    wasmtime_error_t* error = nullptr;
    if (shape == PIE_WASMTIME_RANGE_TO_BYTES && function->async)
      error = pie_wasmtime_component_linker_instance_add_bulk_func_async(
          &instance, name.data(), name.size(), *shape, call_bulk_async_import, import);
    else if (shape && function->sync)
      error = pie_wasmtime_component_linker_instance_add_bulk_func(
          &instance, name.data(), name.size(), *shape, call_bulk_import, import);
    else if (function && function->async)
      error = wasmtime_component_linker_instance_add_func_async(&instance, name.data(), name.size(),
                                                                call_async_import, import, nullptr);
    else
      error = wasmtime_component_linker_instance_add_func(
          &instance, name.data(), name.size(), function ? call_sync_import : call_unserved_import,
          import, nullptr);
    return check(error, full);
  }

  /// Whether the component imports the function with the type that the host's has.
  Result<void> check_type(const HostFunction& function,
                          const wasmtime_component_func_type_t* type) const {
    if (function.type.empty()) return {};
    const std::string got = text_of(
        type, [this](const wasmtime_component_resource_type_t* one) { return resource_name(one); });
    if (got == function.type) return {};
    return invalid_component(
        fmt::format("got the import '{}' as {}, expected {}; build the program against this "
                    "server's WIT",
                    function.name, got, function.type));
  }

  /// The name of an imported resource that was defined; empty for another.
  std::string resource_name(const wasmtime_component_resource_type_t* type) const {
    for (const auto& [seen, name] : seen_)
      if (wasmtime_component_resource_type_equal(seen.get(), type)) return name;
    return {};
  }

  /// The message of the longest prefix that was registered, or nothing.
  std::string unserved_message(const std::string& interface) const {
    std::string message;
    size_t longest = 0;
    for (const auto& [prefix, text] : functions_.unserved_messages()) {
      if (!interface.starts_with(prefix) || prefix.size() < longest) continue;
      longest = prefix.size();
      message = text;
    }
    return message;
  }

  uint32_t number_of(const std::string& resource) {
    return target_.resources_
        .try_emplace(resource, static_cast<uint32_t>(target_.resources_.size() + 1))
        .first->second;
  }

  static Result<void> check(wasmtime_error_t* raw, const std::string& what) {
    const WasmError error(raw);
    if (!error) return {};
    return invalid_component(fmt::format("import '{}' can't be linked: {}", what, text_of(*error)));
  }

  LinkedComponent& target_;
  const HostFunctions& functions_;
  wasm_engine_t* const engine_;
  ComponentType type_;
  std::vector<std::pair<ResourceType, std::string>> seen_;  ///< with their "interface/name"
  std::set<std::string> defined_;
};

Result<std::shared_ptr<const LinkedComponent>> LinkedComponent::link(
    std::shared_ptr<const WasmtimeEngine> engine, RawComponent component, const std::string& hash,
    const HostFunctions& functions) {
  std::shared_ptr<LinkedComponent> linked(new LinkedComponent());
  linked->engine_ = std::move(engine);
  linked->component_ = std::move(component);
  linked->hash_ = hash;
  PIE_TRY_ASSIGN(linked->needs_, Needs::of(*linked->component_));
  PIE_TRY(ComponentLinker(*linked, functions).run());
  return std::shared_ptr<const LinkedComponent>(std::move(linked));
}

uint32_t LinkedComponent::resource_number(std::string_view name) const {
  const auto it = resources_.find(name);
  return it == resources_.end() ? 0 : it->second;
}

std::string LinkedComponent::resource_name(const wasmtime_component_resource_type_t* type) const {
  for (const auto& [name, number] : resources_) {
    const ResourceType host(wasmtime_component_resource_type_new_host(number));
    if (wasmtime_component_resource_type_equal(host.get(), type)) return name;
  }
  return {};
}

}  // namespace pie::wasm
