#include "wasm/component.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "wasm/bulk_shape.h"
#include "wasm/entry_points.h"
#include "wasm/type_text.h"

namespace pie::wasm {
namespace {

constexpr std::string_view kRunInterface = "inferlet:core/run";
constexpr std::string_view kHttpInterface = "wasi:http/incoming-handler";
/// The version under which each wasi:* interface is defined; wasmtime matches any 0.2.x with it.
constexpr std::string_view kWasiVersion = "@0.2.12";

Error invalid(std::string message) {
  return {ErrorCode::kInvalidArgument, "[component] " + std::move(message)};
}

struct Item : wasmtime_component_item_t {
  explicit Item(const wasmtime_component_extern_t* source) {
    wasmtime_component_extern_type(source, this);
  }
  ~Item() { wasmtime_component_item_delete(this); }
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
};

std::string without_version(std::string_view name) {
  return std::string(name.substr(0, name.find('@')));
}

bool is_wasi(std::string_view name) { return name.starts_with("wasi:"); }

/// "", "@0.2.x" and the like; wasi:* is served in versions 0.2.x alone.
bool version_served(std::string_view name) {
  const size_t at = name.find('@');
  return !is_wasi(name) || at == name.npos || name.substr(at).starts_with("@0.2.");
}

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

}  // namespace

/// Whether a function is `func(request: own<..>, response-out: own<..>)`.
bool is_handler_function(const wasmtime_component_func_type_t* type) {
  ValueType result;
  return wasmtime_component_func_type_param_count(type) == 2 &&
         !wasmtime_component_func_type_result(type, &result);
}

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
    return read_exports();
  }

 private:
  using Items = std::function<Result<void>(const std::string& name, const Item& item)>;

  template <auto kNth, class Type>
  Result<void> each(const Type* type, const Items& visit) {
    const char* name = nullptr;
    size_t length = 0;
    wasmtime_component_extern_t* raw = nullptr;
    for (size_t i = 0; kNth(type, engine_, i, &name, &length, &raw); ++i) {
      const Extern owned(raw);
      const Item item(raw);
      PIE_TRY(visit(std::string(name, length), item));
    }
    return {};
  }

  Result<void> define_imports() {
    return each<wasmtime_component_type_import_nth>(
        type_.get(), [this](const std::string& name, const Item& item) -> Result<void> {
          if (item.kind == WASMTIME_COMPONENT_ITEM_TYPE) return {};
          const bool known = item.kind == WASMTIME_COMPONENT_ITEM_COMPONENT_INSTANCE &&
                             (is_wasi(name) || name.starts_with("inferlet:") ||
                              functions_.serves(without_version(name)));
          if (!known)
            return invalid(fmt::format(
                "got the import '{}', expected only interfaces of wasi:* (0.2.x), inferlet:* and "
                "pie:* that this server has; build the program against its WIT",
                name));
          if (!version_served(name))
            return invalid(fmt::format(
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
        type, [&](const std::string& item_name, const Item& item) -> Result<void> {
          switch (item.kind) {
            case WASMTIME_COMPONENT_ITEM_RESOURCE:
              return define_resource(*instance, base, item_name, item.of.resource);
            case WASMTIME_COMPONENT_ITEM_COMPONENT_FUNC:
              return define_function(*instance, base, item_name, item.of.component_func);
            case WASMTIME_COMPONENT_ITEM_TYPE: return {};
            default:
              return invalid(
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
    return invalid(
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

  Result<void> read_exports() {
    PIE_TRY(each<wasmtime_component_type_export_nth>(
        type_.get(), [this](const std::string& name, const Item& item) -> Result<void> {
          if (item.kind != WASMTIME_COMPONENT_ITEM_COMPONENT_INSTANCE) return {};
          target_.exports_.insert(without_version(name));
          if (name == kRunInterface) return take_run(name, item.of.component_instance);
          if (without_version(name) == kHttpInterface)
            return take_handler(name, item.of.component_instance);
          return {};
        }));
    if (target_.run_ || target_.handler_) return {};
    return invalid(
        fmt::format("got a component without the export '{}' (or '{}'), expected one of them; "
                    "export it, as the SDK does",
                    kRunInterface, kHttpInterface));
  }

  Result<void> take_run(const std::string& name, const wasmtime_component_instance_type_t* type) {
    PIE_TRY(check_run(type));
    target_.run_ = function_of(name, "run");
    return {};
  }

  Result<void> take_handler(const std::string& name,
                            const wasmtime_component_instance_type_t* type) {
    if (!version_served(name))
      return invalid(fmt::format(
          "got the export '{}', expected wasi:http 0.2.x; build the program for WASI 0.2", name));
    PIE_TRY(check_handler(name, type));
    target_.handler_ = function_of(name, "handle");
    return {};
  }

  Result<void> check_run(const wasmtime_component_instance_type_t* type) {
    bool found = false;
    PIE_TRY(each<wasmtime_component_instance_type_export_nth>(
        type, [&](const std::string& name, const Item& item) -> Result<void> {
          found |= name == "run" && item.kind == WASMTIME_COMPONENT_ITEM_COMPONENT_FUNC &&
                   is_run_function(item.of.component_func);
          return {};
        }));
    if (found) return {};
    return invalid(
        fmt::format("got an export '{}' of another shape, expected 'run: func() -> "
                    "result<_, string>' in it",
                    kRunInterface));
  }

  Result<void> check_handler(const std::string& interface,
                             const wasmtime_component_instance_type_t* type) {
    bool found = false;
    PIE_TRY(each<wasmtime_component_instance_type_export_nth>(
        type, [&](const std::string& name, const Item& item) -> Result<void> {
          found |= name == "handle" && item.kind == WASMTIME_COMPONENT_ITEM_COMPONENT_FUNC &&
                   is_handler_function(item.of.component_func);
          return {};
        }));
    if (found) return {};
    return invalid(fmt::format(
        "got an export '{}' of another shape, expected 'handle: func(request: incoming-request, "
        "response-out: response-outparam)' in it",
        interface));
  }

  /// A function of an exported interface; null when it has none of this name.
  ExportIndex function_of(const std::string& interface, std::string_view name) const {
    const wasmtime_component_t* component = target_.component_.get();
    const ExportIndex outer(wasmtime_component_get_export_index(
        component, nullptr, interface.data(), interface.size()));
    if (!outer) return nullptr;
    return ExportIndex(
        wasmtime_component_get_export_index(component, outer.get(), name.data(), name.size()));
  }

  uint32_t number_of(const std::string& resource) {
    return target_.resources_
        .try_emplace(resource, static_cast<uint32_t>(target_.resources_.size() + 1))
        .first->second;
  }

  static Result<void> check(wasmtime_error_t* raw, const std::string& what) {
    const WasmError error(raw);
    if (!error) return {};
    return invalid(fmt::format("import '{}' can't be linked: {}", what, text_of(*error)));
  }

  LinkedComponent& target_;
  const HostFunctions& functions_;
  wasm_engine_t* const engine_;
  ComponentType type_;
  std::vector<std::pair<ResourceType, std::string>> seen_;  ///< with their "interface/name"
  std::set<std::string> defined_;
};

Result<std::shared_ptr<const LinkedComponent>> LinkedComponent::link(
    std::shared_ptr<const Engine> engine, RawComponent component, const std::string& hash,
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
