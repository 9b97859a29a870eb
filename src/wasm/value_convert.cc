#include "wasm/value_convert.h"

#include "base/utf8.h"

namespace pie::wasm {
namespace {

using Val = wasmtime_component_val_t;
using Node = Value::Node;

/// A value under construction: what was built is freed when a later part throws.
class Holder {
 public:
  Holder() { val_.kind = WASMTIME_COMPONENT_BOOL; }
  ~Holder() { wasmtime_component_val_delete(&val_); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  Val& operator*() { return val_; }
  Val* operator->() { return &val_; }
  Val release() {
    Val val = val_;
    val_ = Val{};
    return val;
  }

 private:
  Val val_{};
};

wasm_name_t make_name(const std::string& raw) {
  wasm_name_t name;
  if (is_utf8(raw)) {
    wasm_byte_vec_new(&name, raw.size(), raw.data());
  } else {
    const std::string text = to_utf8(raw);
    wasm_byte_vec_new(&name, text.size(), text.data());
  }
  return name;
}

Val scalar(wasmtime_component_valkind_t kind) {
  Val val{};
  val.kind = kind;
  return val;
}

/// An uninitialised vector of values, made safe to delete at any moment.
void make_items(wasmtime_component_vallist_t* list, size_t count) {
  wasmtime_component_vallist_new_uninit(list, count);
  for (size_t i = 0; i < count; ++i) list->data[i] = Val{};
}

struct Converter {
  const MakeHandle& make_handle;
  const Numbers numbers;

  Val convert(const Value& value) const { return std::visit(*this, value.node().of); }

  wasmtime_component_val_t* boxed(const std::optional<Value>& payload) const {
    if (!payload) return nullptr;
    Val val = convert(*payload);
    return wasmtime_component_val_new(&val);
  }

  Val operator()(bool v) const {
    Val val = scalar(WASMTIME_COMPONENT_BOOL);
    val.of.boolean = v;
    return val;
  }
  Val operator()(uint8_t v) const {
    Val val = scalar(WASMTIME_COMPONENT_U8);
    val.of.u8 = v;
    return val;
  }
  Val operator()(uint16_t v) const {
    Val val = scalar(WASMTIME_COMPONENT_U16);
    val.of.u16 = v;
    return val;
  }
  Val operator()(uint32_t v) const {
    Val val = scalar(WASMTIME_COMPONENT_U32);
    val.of.u32 = v;
    return val;
  }
  Val operator()(uint64_t v) const {
    Val val = scalar(WASMTIME_COMPONENT_U64);
    val.of.u64 = v;
    return val;
  }
  Val operator()(int32_t v) const {
    Val val = scalar(WASMTIME_COMPONENT_S32);
    val.of.s32 = v;
    return val;
  }
  Val operator()(int64_t v) const {
    Val val = scalar(WASMTIME_COMPONENT_S64);
    val.of.s64 = v;
    return val;
  }
  Val operator()(float v) const {
    Val val = scalar(WASMTIME_COMPONENT_F32);
    val.of.f32 = v;
    return val;
  }
  Val operator()(const Node::Text& v) const {
    Val val = scalar(WASMTIME_COMPONENT_STRING);
    val.of.string = make_name(v.text);
    return val;
  }
  Val operator()(const Node::Enumeration& v) const {
    Val val = scalar(WASMTIME_COMPONENT_ENUM);
    val.of.enumeration = make_name(v.name);
    return val;
  }
  Val operator()(const Node::Variant& v) const {
    Val val = scalar(WASMTIME_COMPONENT_VARIANT);
    val.of.variant.val = boxed(v.payload);
    val.of.variant.discriminant = make_name(v.name);
    return val;
  }
  Val operator()(const Node::Option& v) const {
    Val val = scalar(WASMTIME_COMPONENT_OPTION);
    val.of.option = boxed(v.payload);
    return val;
  }
  Val operator()(const Node::Outcome& v) const {
    Val val = scalar(WASMTIME_COMPONENT_RESULT);
    val.of.result.is_ok = v.is_ok;
    val.of.result.val = boxed(v.payload);
    return val;
  }
  Val operator()(const Node::List& v) const {
    Holder holder;
    make_items(&holder->of.list, v.items.size());
    holder->kind = WASMTIME_COMPONENT_LIST;
    for (size_t i = 0; i < v.items.size(); ++i) holder->of.list.data[i] = convert(v.items[i]);
    return holder.release();
  }
  Val operator()(const Node::Tuple& v) const {
    Holder holder;
    wasmtime_component_valtuple_new_uninit(&holder->of.tuple, v.items.size());
    for (size_t i = 0; i < v.items.size(); ++i) holder->of.tuple.data[i] = Val{};
    holder->kind = WASMTIME_COMPONENT_TUPLE;
    for (size_t i = 0; i < v.items.size(); ++i) holder->of.tuple.data[i] = convert(v.items[i]);
    return holder.release();
  }
  Val operator()(const Node::Record& v) const {
    Holder holder;
    auto& record = holder->of.record;
    wasmtime_component_valrecord_new_uninit(&record, v.fields.size());
    for (size_t i = 0; i < v.fields.size(); ++i)
      record.data[i] = {make_name(v.fields[i].first), Val{}};
    holder->kind = WASMTIME_COMPONENT_RECORD;
    for (size_t i = 0; i < v.fields.size(); ++i) record.data[i].val = convert(v.fields[i].second);
    return holder.release();
  }
  Val operator()(const Node::Handle& v) const {
    Val val = scalar(WASMTIME_COMPONENT_RESOURCE);
    val.of.resource = make_handle(v);
    return val;
  }
  template <class T>
  Val operator()(const std::vector<T>& items) const {
    if (numbers == Numbers::kWhole) {
      Val whole = scalar(WASMTIME_COMPONENT_STRING);
      wasm_byte_vec_new(&whole.of.string, items.size() * sizeof(T),
                        reinterpret_cast<const char*>(items.data()));
      return whole;
    }
    Val val = scalar(WASMTIME_COMPONENT_LIST);
    wasmtime_component_vallist_new_uninit(&val.of.list, items.size());
    for (size_t i = 0; i < items.size(); ++i) val.of.list.data[i] = (*this)(items[i]);
    return val;
  }
};

}  // namespace

wasmtime_component_val_t to_wasmtime(const Value& value, const MakeHandle& make_handle,
                                     Numbers numbers) {
  return Converter{make_handle, numbers}.convert(value);
}

}  // namespace pie::wasm
