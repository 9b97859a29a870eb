#include "wasm/value_writer.h"

#include <string>
#include <utility>

#include "base/utf8.h"
#include "wasm/guest_error.h"
#include "wasm/lowering.h"

namespace pie::wasm {
namespace {

using Val = wasmtime_component_val_t;

wasm_name_t name_of(std::string_view raw) {
  wasm_name_t name;
  if (is_utf8(raw)) {
    wasm_byte_vec_new(&name, raw.size(), raw.data());
  } else {
    const std::string text = to_utf8(raw);
    wasm_byte_vec_new(&name, text.size(), text.data());
  }
  return name;
}

/// The numbers one by one; `set` puts one into the value's union.
template <class T, class Set>
void write_numbers(Val& to, Numbers numbers, std::span<const T> items,
                   wasmtime_component_valkind_t kind, Set set) {
  if (numbers == Numbers::kWhole) {
    wasm_byte_vec_new(&to.of.string, items.size_bytes(),
                      reinterpret_cast<const char*>(items.data()));
    to.kind = WASMTIME_COMPONENT_STRING;
    return;
  }
  wasmtime_component_vallist_new_uninit(&to.of.list, items.size());
  Val* data = to.of.list.data;
  for (size_t i = 0; i < items.size(); ++i) {
    data[i].kind = kind;
    set(data[i], items[i]);
  }
  to.kind = WASMTIME_COMPONENT_LIST;
}

}  // namespace

void ValueWriter::boolean(bool value) const {
  place_->of.boolean = value;
  place_->kind = WASMTIME_COMPONENT_BOOL;
}
void ValueWriter::u8(uint8_t value) const {
  place_->of.u8 = value;
  place_->kind = WASMTIME_COMPONENT_U8;
}
void ValueWriter::u16(uint16_t value) const {
  place_->of.u16 = value;
  place_->kind = WASMTIME_COMPONENT_U16;
}
void ValueWriter::u32(uint32_t value) const {
  place_->of.u32 = value;
  place_->kind = WASMTIME_COMPONENT_U32;
}
void ValueWriter::u64(uint64_t value) const {
  place_->of.u64 = value;
  place_->kind = WASMTIME_COMPONENT_U64;
}
void ValueWriter::s32(int32_t value) const {
  place_->of.s32 = value;
  place_->kind = WASMTIME_COMPONENT_S32;
}
void ValueWriter::s64(int64_t value) const {
  place_->of.s64 = value;
  place_->kind = WASMTIME_COMPONENT_S64;
}
void ValueWriter::f32(float value) const {
  place_->of.f32 = value;
  place_->kind = WASMTIME_COMPONENT_F32;
}
void ValueWriter::text(std::string_view text) const {
  place_->of.string = name_of(text);
  place_->kind = WASMTIME_COMPONENT_STRING;
}
void ValueWriter::enum_case(std::string_view name) const {
  place_->of.enumeration = name_of(name);
  place_->kind = WASMTIME_COMPONENT_ENUM;
}

void ValueWriter::bytes(std::span<const uint8_t> items) const {
  write_numbers(*place_, lowering_->numbers, items, WASMTIME_COMPONENT_U8,
                [](Val& val, uint8_t item) { val.of.u8 = item; });
}
void ValueWriter::u32s(std::span<const uint32_t> items) const {
  write_numbers(*place_, lowering_->numbers, items, WASMTIME_COMPONENT_U32,
                [](Val& val, uint32_t item) { val.of.u32 = item; });
}
void ValueWriter::f32s(std::span<const float> items) const {
  write_numbers(*place_, lowering_->numbers, items, WASMTIME_COMPONENT_F32,
                [](Val& val, float item) { val.of.f32 = item; });
}

void ValueWriter::list(size_t count) const {
  wasmtime_component_vallist_new_uninit(&place_->of.list, count);
  for (size_t i = 0; i < count; ++i) place_->of.list.data[i] = Val{};
  place_->kind = WASMTIME_COMPONENT_LIST;
}
ValueWriter ValueWriter::list_item(size_t i) const { return {place_->of.list.data[i], *lowering_}; }
void ValueWriter::tuple(size_t count) const {
  wasmtime_component_valtuple_new_uninit(&place_->of.tuple, count);
  for (size_t i = 0; i < count; ++i) place_->of.tuple.data[i] = Val{};
  place_->kind = WASMTIME_COMPONENT_TUPLE;
}
ValueWriter ValueWriter::tuple_item(size_t i) const {
  return {place_->of.tuple.data[i], *lowering_};
}
void ValueWriter::record(size_t count) const {
  wasmtime_component_valrecord_new_uninit(&place_->of.record, count);
  for (size_t i = 0; i < count; ++i) {
    wasm_byte_vec_new_empty(&place_->of.record.data[i].name);
    place_->of.record.data[i].val = Val{};
  }
  place_->kind = WASMTIME_COMPONENT_RECORD;
}
ValueWriter ValueWriter::record_field(size_t i, std::string_view name) const {
  wasmtime_component_valrecord_entry_t& field = place_->of.record.data[i];
  field.name = name_of(name);
  return {field.val, *lowering_};
}

/// Gives the value that is being written a payload of its own.
ValueWriter ValueWriter::boxed(Val*& payload) const {
  Val nothing{};
  payload = wasmtime_component_val_new(&nothing);
  return {*payload, *lowering_};
}

void ValueWriter::none() const {
  place_->of.option = nullptr;
  place_->kind = WASMTIME_COMPONENT_OPTION;
}
ValueWriter ValueWriter::some() const {
  none();
  return boxed(place_->of.option);
}
void ValueWriter::ok() const {
  place_->of.result = {true, nullptr};
  place_->kind = WASMTIME_COMPONENT_RESULT;
}
ValueWriter ValueWriter::ok_with() const {
  ok();
  return boxed(place_->of.result.val);
}
void ValueWriter::err() const {
  place_->of.result = {false, nullptr};
  place_->kind = WASMTIME_COMPONENT_RESULT;
}
ValueWriter ValueWriter::err_with() const {
  err();
  return boxed(place_->of.result.val);
}
void ValueWriter::variant(std::string_view name) const {
  place_->of.variant = {name_of(name), nullptr};
  place_->kind = WASMTIME_COMPONENT_VARIANT;
}
ValueWriter ValueWriter::variant_with(std::string_view name) const {
  variant(name);
  return boxed(place_->of.variant.val);
}

void ValueWriter::handle(std::string_view resource, std::shared_ptr<Object> object) const {
  const uint32_t type = lowering_->store.component->resource_number(resource);
  const uint32_t number = lowering_->store.handles.add(std::move(object));
  const HostResource host(wasmtime_component_resource_host_new(true, number, type));
  wasmtime_component_resource_any_t* any = nullptr;
  const WasmError error(
      wasmtime_component_resource_host_to_any(lowering_->context, host.get(), &any));
  if (error) throw GuestError("can't give a handle: " + text_of(*error));
  place_->of.resource = any;
  place_->kind = WASMTIME_COMPONENT_RESOURCE;
}

}  // namespace pie::wasm
