#include "wasm/bulk_shape.h"

#include <string>
#include <string_view>
#include <utility>

#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {
namespace {

/// A type in WIT's words, as far as the shapes below need them; "?" for what no shape has.
std::string text_of_type(const wasmtime_component_valtype_t& type) {
  switch (type.kind) {
    case WASMTIME_COMPONENT_VALTYPE_U8: return "u8";
    case WASMTIME_COMPONENT_VALTYPE_U32: return "u32";
    case WASMTIME_COMPONENT_VALTYPE_U64: return "u64";
    case WASMTIME_COMPONENT_VALTYPE_F32: return "f32";
    case WASMTIME_COMPONENT_VALTYPE_OWN: return "own";
    case WASMTIME_COMPONENT_VALTYPE_BORROW: return "borrow";
    case WASMTIME_COMPONENT_VALTYPE_LIST: {
      ValueType item;
      wasmtime_component_list_type_element(type.of.list, &item);
      return "list<" + text_of_type(item) + ">";
    }
    case WASMTIME_COMPONENT_VALTYPE_OPTION: {
      ValueType payload;
      wasmtime_component_option_type_ty(type.of.option, &payload);
      return "option<" + text_of_type(payload) + ">";
    }
    case WASMTIME_COMPONENT_VALTYPE_TUPLE: {
      std::string text = "tuple<";
      for (size_t i = 0;; ++i) {
        ValueType item;
        if (!wasmtime_component_tuple_type_types_nth(type.of.tuple, i, &item)) return text + ">";
        text += (i > 0 ? ", " : "") + text_of_type(item);
      }
    }
    default: return "?";
  }
}

constexpr std::pair<std::string_view, pie_wasmtime_bulk_shape_t> kShapes[] = {
    {"(list<u8>) -> own", PIE_WASMTIME_BYTES_TO_RESOURCE},
    {"(borrow, u64, u64) -> list<u8>", PIE_WASMTIME_RANGE_TO_BYTES},
    {"(u64) -> list<u8>", PIE_WASMTIME_COUNT_TO_BYTES},
    {"(borrow) -> option<list<tuple<list<u32>, list<f32>>>>", PIE_WASMTIME_RESOURCE_TO_RANKINGS},
    {"(borrow) -> tuple<list<u32>, list<list<u8>>>", PIE_WASMTIME_RESOURCE_TO_VOCABULARY},
};

}  // namespace

std::optional<pie_wasmtime_bulk_shape_t> bulk_shape_of(const wasmtime_component_func_type_t* type) {
  std::string text = "(";
  for (size_t i = 0; i < wasmtime_component_func_type_param_count(type); ++i) {
    const char* name = nullptr;
    size_t length = 0;
    ValueType parameter;
    wasmtime_component_func_type_param_nth(type, i, &name, &length, &parameter);
    text += (i > 0 ? ", " : "") + text_of_type(parameter);
  }
  ValueType result;
  if (!wasmtime_component_func_type_result(type, &result)) return std::nullopt;
  text += ") -> " + text_of_type(result);
  for (const auto& [shape_text, shape] : kShapes)
    if (text == shape_text) return shape;
  return std::nullopt;
}

}  // namespace pie::wasm
