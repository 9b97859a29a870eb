#pragma once
#include <utility>

#include "wasm/store_data.h"
#include "wasm/value_writer.h"

namespace pie::wasm {

/// How lists of numbers cross: as lists of values, or as one value of kind string with their bytes
/// (wasmtime_extra.h).
enum class Numbers { kOneByOne, kWhole };

/// Where a value is made: for a call of this store, which is its current one.
struct Lowering {
  StoreData& store;
  wasmtime_context_t* context;
  Numbers numbers = Numbers::kOneByOne;
};

/// A value under construction; freed unless it is released.
class NewValue {
 public:
  NewValue() = default;
  ~NewValue() {
    if (value_.kind >= WASMTIME_COMPONENT_STRING) wasmtime_component_val_delete(&value_);
  }
  NewValue(const NewValue&) = delete;
  NewValue& operator=(const NewValue&) = delete;

  wasmtime_component_val_t& operator*() { return value_; }
  wasmtime_component_val_t release() { return std::exchange(value_, {}); }

 private:
  wasmtime_component_val_t value_{};  // false
};

}  // namespace pie::wasm
