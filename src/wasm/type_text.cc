#include "wasm/type_text.h"

#include <string_view>
#include <utility>

namespace pie::wasm {
namespace {

/// Parts with commas between them.
class Listing {
 public:
  explicit Listing(std::string head) : text_(std::move(head)) {}
  void add(std::string_view part) {
    text_ += is_first_ ? "" : ", ";
    text_ += part;
    is_first_ = false;
  }
  std::string closed(std::string_view end) && { return std::move(text_.append(end)); }

 private:
  std::string text_;
  bool is_first_ = true;
};

/// A name that one of the C API's functions gives.
struct ItemName {
  const char* data = nullptr;
  size_t size = 0;
  std::string text() const { return {data, size}; }
};

struct TypeText {
  const ResourceNames& names;

  std::string of(const wasmtime_component_valtype_t& type) const {
    switch (type.kind) {
      case WASMTIME_COMPONENT_VALTYPE_BOOL: return "bool";
      case WASMTIME_COMPONENT_VALTYPE_S8: return "s8";
      case WASMTIME_COMPONENT_VALTYPE_S16: return "s16";
      case WASMTIME_COMPONENT_VALTYPE_S32: return "s32";
      case WASMTIME_COMPONENT_VALTYPE_S64: return "s64";
      case WASMTIME_COMPONENT_VALTYPE_U8: return "u8";
      case WASMTIME_COMPONENT_VALTYPE_U16: return "u16";
      case WASMTIME_COMPONENT_VALTYPE_U32: return "u32";
      case WASMTIME_COMPONENT_VALTYPE_U64: return "u64";
      case WASMTIME_COMPONENT_VALTYPE_F32: return "f32";
      case WASMTIME_COMPONENT_VALTYPE_F64: return "f64";
      case WASMTIME_COMPONENT_VALTYPE_CHAR: return "char";
      case WASMTIME_COMPONENT_VALTYPE_STRING: return "string";
      case WASMTIME_COMPONENT_VALTYPE_LIST: return list(type.of.list);
      case WASMTIME_COMPONENT_VALTYPE_RECORD: return record(type.of.record);
      case WASMTIME_COMPONENT_VALTYPE_TUPLE: return tuple(type.of.tuple);
      case WASMTIME_COMPONENT_VALTYPE_VARIANT: return variant(type.of.variant);
      case WASMTIME_COMPONENT_VALTYPE_ENUM: return enumeration(type.of.enum_);
      case WASMTIME_COMPONENT_VALTYPE_OPTION: return option(type.of.option);
      case WASMTIME_COMPONENT_VALTYPE_RESULT: return result(type.of.result);
      case WASMTIME_COMPONENT_VALTYPE_OWN: return "handle<" + names(type.of.own) + ">";
      case WASMTIME_COMPONENT_VALTYPE_BORROW: return "handle<" + names(type.of.borrow) + ">";
      default: return "a type that no host function has";
    }
  }

  std::string list(const wasmtime_component_list_type_t* type) const {
    ValueType item;
    wasmtime_component_list_type_element(type, &item);
    return "list<" + of(item) + ">";
  }
  std::string record(const wasmtime_component_record_type_t* type) const {
    Listing fields("record{");
    for (size_t i = 0;; ++i) {
      ItemName name;
      ValueType field;
      if (!wasmtime_component_record_type_field_nth(type, i, &name.data, &name.size, &field))
        return std::move(fields).closed("}");
      fields.add(name.text() + ": " + of(field));
    }
  }
  std::string tuple(const wasmtime_component_tuple_type_t* type) const {
    Listing items("tuple<");
    for (size_t i = 0;; ++i) {
      ValueType item;
      if (!wasmtime_component_tuple_type_types_nth(type, i, &item))
        return std::move(items).closed(">");
      items.add(of(item));
    }
  }
  std::string variant(const wasmtime_component_variant_type_t* type) const {
    Listing cases("variant{");
    for (size_t i = 0;; ++i) {
      ItemName name;
      bool has_payload = false;
      wasmtime_component_valtype_t payload;
      if (!wasmtime_component_variant_type_case_nth(type, i, &name.data, &name.size, &has_payload,
                                                    &payload))
        return std::move(cases).closed("}");
      std::string one = name.text();
      if (has_payload) {
        one.append("(").append(of(payload)).append(")");
        wasmtime_component_valtype_delete(&payload);
      }
      cases.add(one);
    }
  }
  std::string enumeration(const wasmtime_component_enum_type_t* type) const {
    Listing cases("enum{");
    ItemName name;
    for (size_t i = 0; wasmtime_component_enum_type_names_nth(type, i, &name.data, &name.size); ++i)
      cases.add(name.text());
    return std::move(cases).closed("}");
  }
  std::string option(const wasmtime_component_option_type_t* type) const {
    ValueType payload;
    wasmtime_component_option_type_ty(type, &payload);
    return "option<" + of(payload) + ">";
  }
  std::string result(const wasmtime_component_result_type_t* type) const {
    ValueType ok, err;
    const bool has_ok = wasmtime_component_result_type_ok(type, &ok);
    const bool has_err = wasmtime_component_result_type_err(type, &err);
    if (!has_ok && !has_err) return "result";
    return "result<" + (has_ok ? of(ok) : "_") + (has_err ? ", " + of(err) : "") + ">";
  }
};

}  // namespace

std::string text_of(const wasmtime_component_func_type_t* type, const ResourceNames& names) {
  const TypeText text{names};
  Listing parameters("func(");
  for (size_t i = 0; i < wasmtime_component_func_type_param_count(type); ++i) {
    ItemName name;
    ValueType parameter;
    wasmtime_component_func_type_param_nth(type, i, &name.data, &name.size, &parameter);
    parameters.add(text.of(parameter));
  }
  std::string whole = std::move(parameters).closed(")");
  ValueType result;
  if (wasmtime_component_func_type_result(type, &result)) whole += " -> " + text.of(result);
  return whole;
}

}  // namespace pie::wasm
