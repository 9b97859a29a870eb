#include "wasm/refusal.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/object.h"

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

/// The clearest case that says no; empty when there is none.
std::string_view refusing_case(const wasmtime_component_valtype_t& type) {
  const std::vector<std::string> names = names_of(type);
  for (const std::string_view word : kRefusals)
    if (std::find(names.begin(), names.end(), word) != names.end()) return word;
  return {};
}

bool refuse_result(const wasmtime_component_result_type_t* type, ValueWriter result) {
  ValueType error_type;
  if (!wasmtime_component_result_type_err(type, &error_type)) return result.err(), true;
  const std::string_view word = refusing_case(error_type);
  if (word.empty()) return false;
  const ValueWriter error = result.err_with();
  if (error_type.kind == WASMTIME_COMPONENT_VALTYPE_ENUM)
    error.enum_case(word);
  else
    error.variant(word);
  return true;
}

bool refuse_handle(const wasmtime_component_resource_type_t* type, const LinkedComponent& component,
                   ValueWriter result) {
  const std::string name = component.resource_name(type);
  if (name.empty()) return false;
  if (name == Pollable::kResource)
    result.handle(
        name, std::make_shared<Pollable>(std::make_shared<Readiness>(Readiness::Start::kReady)));
  else
    result.handle(name, std::make_shared<Nothing>());
  return true;
}

}  // namespace

bool refuse(const wasmtime_component_func_type_t* type, const LinkedComponent& component,
            ValueWriter result) {
  ValueType result_type;
  if (!wasmtime_component_func_type_result(type, &result_type)) return true;
  switch (result_type.kind) {
    case WASMTIME_COMPONENT_VALTYPE_OPTION: return result.none(), true;
    case WASMTIME_COMPONENT_VALTYPE_LIST: return result.list(0), true;
    case WASMTIME_COMPONENT_VALTYPE_BOOL: return result.boolean(false), true;
    case WASMTIME_COMPONENT_VALTYPE_RESULT: return refuse_result(result_type.of.result, result);
    case WASMTIME_COMPONENT_VALTYPE_OWN:
      return refuse_handle(result_type.of.own, component, result);
    default: return false;
  }
}

}  // namespace pie::wasm
