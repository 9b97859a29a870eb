#include "wasm/refusal.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wasm/call.h"

namespace pie::wasm {
namespace {

/// Error cases without a payload that say "no", the clearest first.
constexpr std::string_view kRefusals[] = {"access-denied",       "not-permitted", "access",
                                          "HTTP-request-denied", "forbidden",     "not-supported",
                                          "unsupported",         "closed",        "unknown"};

/// Behind the handles of interfaces that we don't serve.
class Nothing final : public Object {};

std::vector<std::string> names_of(const wasmtime_component_valtype_t& type) {
  std::vector<std::string> names;
  const char* name = nullptr;
  size_t length = 0;
  if (type.kind == WASMTIME_COMPONENT_VALTYPE_ENUM) {
    for (size_t i = 0; wasmtime_component_enum_type_names_nth(type.of.enum_, i, &name, &length);
         ++i)
      names.emplace_back(name, length);
  }
  if (type.kind == WASMTIME_COMPONENT_VALTYPE_VARIANT) {
    for (size_t i = 0;; ++i) {
      bool has_payload = false;
      wasmtime_component_valtype_t payload;
      if (!wasmtime_component_variant_type_case_nth(type.of.variant, i, &name, &length,
                                                    &has_payload, &payload))
        break;
      if (has_payload)
        wasmtime_component_valtype_delete(&payload);
      else
        names.emplace_back(name, length);
    }
  }
  return names;
}

std::optional<Value> refusing_error(const wasmtime_component_valtype_t& type) {
  const std::vector<std::string> names = names_of(type);
  for (const std::string_view word : kRefusals) {
    if (std::find(names.begin(), names.end(), word) == names.end()) continue;
    return type.kind == WASMTIME_COMPONENT_VALTYPE_ENUM ? Value::enumeration(std::string(word))
                                                        : Value::variant(std::string(word));
  }
  return std::nullopt;
}

std::optional<Value> refusing_value(const wasmtime_component_valtype_t& type,
                                    const LinkedComponent& component) {
  switch (type.kind) {
    case WASMTIME_COMPONENT_VALTYPE_OPTION: return Value::none();
    case WASMTIME_COMPONENT_VALTYPE_LIST: return Value::list({});
    case WASMTIME_COMPONENT_VALTYPE_BOOL: return Value::boolean(false);
    case WASMTIME_COMPONENT_VALTYPE_RESULT: {
      ValueType error_type;
      if (!wasmtime_component_result_type_err(type.of.result, &error_type)) return Value::err();
      std::optional<Value> error = refusing_error(error_type);
      if (!error) return std::nullopt;
      return Value::err(std::move(*error));
    }
    case WASMTIME_COMPONENT_VALTYPE_OWN: {
      std::string name = component.resource_name(type.of.own);
      if (name.empty()) return std::nullopt;
      if (name == kPollableResource) return make_pollable(std::make_shared<Event>(true));
      return Value::handle(std::move(name), std::make_shared<Nothing>());
    }
    default: return std::nullopt;
  }
}

}  // namespace

Refusal refuse(const wasmtime_component_func_type_t* type, const LinkedComponent& component) {
  ValueType result;
  if (!wasmtime_component_func_type_result(type, &result)) return {true, std::nullopt};
  std::optional<Value> value = refusing_value(result, component);
  return {value.has_value(), std::move(value)};
}

}  // namespace pie::wasm
