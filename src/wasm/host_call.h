#pragma once
#include <cstddef>
#include <memory>
#include <span>

#include "wasm/object.h"
#include "wasm/value_reader.h"
#include "wasm/value_writer.h"

namespace pie::wasm {

struct StoreData;  // store_data.h

/// One call from a program into the host, as typed_function.h takes it apart. Valid during the host
/// function only.
class HostCall {
 public:
  /// `result` is a scalar, as wasmtime makes it before a call; null for a call without one.
  HostCall(StoreData& store, const wasmtime_component_val* arguments,
           wasmtime_component_val* result, const Lowering& lowering)
      : store_(store), arguments_(arguments), result_(result), lowering_(lowering) {}

  ValueReader argument(size_t i) const;
  InstanceContext& context(size_t index) const;
  /// Where the result is written, by functions that have one.
  ValueWriter result() const { return {*result_, lowering_}; }

 private:
  StoreData& store_;
  const wasmtime_component_val* const arguments_;
  wasmtime_component_val* const result_;
  const Lowering& lowering_;
};

}  // namespace pie::wasm
