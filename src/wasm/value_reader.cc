#include "wasm/value_reader.h"

#include <fmt/format.h>
#include <wasmtime.h>
#include <wasmtime/component.h>

#include <stdexcept>

#include "wasm/guest_error.h"

namespace pie::wasm {
namespace {

using Val = wasmtime_component_val_t;

[[noreturn]] void throw_wrong_kind(int kind, int expected) {
  throw std::logic_error(fmt::format(
      "got a value of kind {}, expected {}: its type was not compared", kind, expected));
}

std::string_view view_of(const wasm_name_t& name) { return {name.data, name.size}; }

/// The numbers of a list, whose items are all of the kind of its first.
template <class Numbers, class Get>
Numbers numbers_of(const Val& list, int kind, Get get) {
  const auto& [size, data] = list.of.list;
  if (size > 0 && data[0].kind != kind) throw_wrong_kind(data[0].kind, kind);
  Numbers numbers(size, 0);
  for (size_t i = 0; i < size; ++i) numbers[i] = get(data[i]);
  return numbers;
}

}  // namespace

const Val& ValueReader::of_kind(int kind) const {
  if (value_->kind != kind) throw_wrong_kind(value_->kind, kind);
  return *value_;
}

bool ValueReader::boolean() const { return of_kind(WASMTIME_COMPONENT_BOOL).of.boolean; }
uint8_t ValueReader::u8() const { return of_kind(WASMTIME_COMPONENT_U8).of.u8; }
uint16_t ValueReader::u16() const { return of_kind(WASMTIME_COMPONENT_U16).of.u16; }
uint32_t ValueReader::u32() const { return of_kind(WASMTIME_COMPONENT_U32).of.u32; }
uint64_t ValueReader::u64() const { return of_kind(WASMTIME_COMPONENT_U64).of.u64; }
int32_t ValueReader::s32() const { return of_kind(WASMTIME_COMPONENT_S32).of.s32; }
int64_t ValueReader::s64() const { return of_kind(WASMTIME_COMPONENT_S64).of.s64; }
float ValueReader::f32() const { return of_kind(WASMTIME_COMPONENT_F32).of.f32; }
std::string_view ValueReader::text() const {
  return view_of(of_kind(WASMTIME_COMPONENT_STRING).of.string);
}
std::string_view ValueReader::enum_case() const {
  return view_of(of_kind(WASMTIME_COMPONENT_ENUM).of.enumeration);
}

std::vector<uint8_t> ValueReader::bytes() const {
  if (value_->kind == WASMTIME_COMPONENT_STRING) {  // whole (bulk_shape.h)
    const std::string_view whole = text();
    return {whole.begin(), whole.end()};
  }
  return numbers_of<std::vector<uint8_t>>(of_kind(WASMTIME_COMPONENT_LIST), WASMTIME_COMPONENT_U8,
                                          [](const Val& val) { return val.of.u8; });
}
std::string ValueReader::byte_string() const {
  if (value_->kind == WASMTIME_COMPONENT_STRING) return std::string(text());
  return numbers_of<std::string>(of_kind(WASMTIME_COMPONENT_LIST), WASMTIME_COMPONENT_U8,
                                 [](const Val& val) { return static_cast<char>(val.of.u8); });
}
std::vector<uint32_t> ValueReader::u32s() const {
  return numbers_of<std::vector<uint32_t>>(of_kind(WASMTIME_COMPONENT_LIST), WASMTIME_COMPONENT_U32,
                                           [](const Val& val) { return val.of.u32; });
}
std::vector<float> ValueReader::f32s() const {
  return numbers_of<std::vector<float>>(of_kind(WASMTIME_COMPONENT_LIST), WASMTIME_COMPONENT_F32,
                                        [](const Val& val) { return val.of.f32; });
}

size_t ValueReader::list_size() const { return of_kind(WASMTIME_COMPONENT_LIST).of.list.size; }
ValueReader ValueReader::list_item(size_t i) const {
  return {of_kind(WASMTIME_COMPONENT_LIST).of.list.data[i], *handles_};
}
ValueReader ValueReader::tuple_item(size_t i) const {
  return {of_kind(WASMTIME_COMPONENT_TUPLE).of.tuple.data[i], *handles_};
}
ValueReader ValueReader::record_field(size_t i) const {
  return {of_kind(WASMTIME_COMPONENT_RECORD).of.record.data[i].val, *handles_};
}
std::string_view ValueReader::variant_case() const {
  return view_of(of_kind(WASMTIME_COMPONENT_VARIANT).of.variant.discriminant);
}
bool ValueReader::result_is_ok() const {
  return of_kind(WASMTIME_COMPONENT_RESULT).of.result.is_ok;
}

namespace {

const Val* payload_of(const Val& value) {
  switch (value.kind) {
    case WASMTIME_COMPONENT_OPTION: return value.of.option;
    case WASMTIME_COMPONENT_VARIANT: return value.of.variant.val;
    case WASMTIME_COMPONENT_RESULT: return value.of.result.val;
    default: throw_wrong_kind(value.kind, WASMTIME_COMPONENT_OPTION);
  }
}

}  // namespace

bool ValueReader::has_payload() const { return payload_of(*value_) != nullptr; }
ValueReader ValueReader::payload() const {
  const Val* payload = payload_of(*value_);
  if (!payload) throw_wrong_kind(-1, value_->kind);
  return {*payload, *handles_};
}

HandleArguments::Handle& ValueReader::next_handle() const {
  of_kind(WASMTIME_COMPONENT_RESOURCE);
  return handles_->all.at(handles_->read_count++);
}

void ValueReader::throw_not_live() const {
  throw GuestError(fmt::format("argument {} is not a live handle of the right kind",
                               handles_->all[handles_->read_count - 1].argument));
}

}  // namespace pie::wasm
