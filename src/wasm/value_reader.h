#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wasm/object.h"

/// A value of wasmtime's, whose headers only the sources of this layer see.
struct wasmtime_component_val;

namespace pie::wasm {

/// One of a call's arguments, or a part of it, as wasmtime gives it: the primitive operations that
/// WitType is made of. Valid during the host function only. Each operation is for values of one
/// kind; another one throws std::logic_error, for types are compared when a component is linked.
class ValueReader {
 public:
  ValueReader(const wasmtime_component_val& value, HandleArguments& handles)
      : value_(&value), handles_(&handles) {}

  bool boolean() const;
  uint8_t u8() const;
  uint16_t u16() const;
  uint32_t u32() const;
  uint64_t u64() const;
  int32_t s32() const;
  int64_t s64() const;
  float f32() const;
  std::string_view text() const;
  std::string_view enum_case() const;

  // Lists of numbers, in one go.
  std::vector<uint8_t> bytes() const;
  std::string byte_string() const;
  std::vector<uint32_t> u32s() const;
  std::vector<float> f32s() const;

  size_t list_size() const;
  ValueReader list_item(size_t i) const;
  ValueReader tuple_item(size_t i) const;
  ValueReader record_field(size_t i) const;  ///< in the order of the declaration
  std::string_view variant_case() const;
  bool result_is_ok() const;
  /// Of an option, a variant or a result.
  bool has_payload() const;
  ValueReader payload() const;

  /// The object behind a borrowed or owned handle; throws GuestError when it is not a T. Handles
  /// are read in the order of the arguments, each once.
  template <Resource T>
  T& object() const {
    T* object = dynamic_cast<T*>(next_handle().object.get());
    if (!object) throw_not_live();
    return *object;
  }
  template <Resource T>
  std::shared_ptr<T> shared_object() const {
    auto object = std::dynamic_pointer_cast<T>(std::move(next_handle().object));
    if (!object) throw_not_live();
    return object;
  }

 private:
  const wasmtime_component_val& of_kind(int kind) const;
  HandleArguments::Handle& next_handle() const;
  [[noreturn]] void throw_not_live() const;

  const wasmtime_component_val* value_;
  HandleArguments* handles_;
};

}  // namespace pie::wasm
