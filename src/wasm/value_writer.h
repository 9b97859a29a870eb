#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "wasm/object.h"

/// A value of wasmtime's, whose headers only the sources of this layer see.
struct wasmtime_component_val;

namespace pie::wasm {

struct Lowering;  // lowering.h

/// The place of a host function's result, or of a part of it: the primitive operations that WitType
/// is made of. Each place is written once. At any moment what has been written is a whole value of
/// wasmtime's, so that an exception leaks nothing.
class ValueWriter {
 public:
  ValueWriter(wasmtime_component_val& place, const Lowering& lowering)
      : place_(&place), lowering_(&lowering) {}

  void boolean(bool value) const;
  void u8(uint8_t value) const;
  void u16(uint16_t value) const;
  void u32(uint32_t value) const;
  void u64(uint64_t value) const;
  void s32(int32_t value) const;
  void s64(int64_t value) const;
  void f32(float value) const;
  /// Bytes that are not UTF-8 become U+FFFD: wasmtime aborts the process on them.
  void text(std::string_view text) const;
  void enum_case(std::string_view name) const;

  // Lists of numbers, in one go.
  void bytes(std::span<const uint8_t> items) const;
  void u32s(std::span<const uint32_t> items) const;
  void f32s(std::span<const float> items) const;

  // What has parts: first their number, then each.
  void list(size_t count) const;
  ValueWriter list_item(size_t i) const;
  void tuple(size_t count) const;
  ValueWriter tuple_item(size_t i) const;
  void record(size_t count) const;
  ValueWriter record_field(size_t i, std::string_view name) const;

  // What has a payload, whose place is returned, or none.
  void none() const;
  ValueWriter some() const;
  void ok() const;
  ValueWriter ok_with() const;
  void err() const;
  ValueWriter err_with() const;
  void variant(std::string_view name) const;
  ValueWriter variant_with(std::string_view name) const;

  /// An owned handle. Throws LimitError at the instance's limit, GuestError when it can't be made.
  void handle(std::string_view resource, std::shared_ptr<Object> object) const;

 private:
  ValueWriter boxed(wasmtime_component_val*& payload) const;

  wasmtime_component_val* place_;
  const Lowering* lowering_;
};

}  // namespace pie::wasm
