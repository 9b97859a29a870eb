#pragma once
#include <wasmtime.h>
#include <wasmtime/async.h>
#include <wasmtime/component.h>

#include <memory>
#include <string>

namespace pie::wasm {

template <auto kDelete>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    kDelete(object);
  }
};
template <class T, auto kDelete>
using CPtr = std::unique_ptr<T, Deleter<kDelete>>;

using RawEngine = CPtr<wasm_engine_t, wasm_engine_delete>;
using Store = CPtr<wasmtime_store_t, wasmtime_store_delete>;
using CallFuture = CPtr<wasmtime_call_future_t, wasmtime_call_future_delete>;
using WasmError = CPtr<wasmtime_error_t, wasmtime_error_delete>;
using RawComponent = CPtr<wasmtime_component_t, wasmtime_component_delete>;
using ComponentType = CPtr<wasmtime_component_type_t, wasmtime_component_type_delete>;
using Linker = CPtr<wasmtime_component_linker_t, wasmtime_component_linker_delete>;
using LinkerInstance =
    CPtr<wasmtime_component_linker_instance_t, wasmtime_component_linker_instance_delete>;
using ExportIndex = CPtr<wasmtime_component_export_index_t, wasmtime_component_export_index_delete>;
using Extern = CPtr<wasmtime_component_extern_t, wasmtime_component_extern_delete>;
using ResourceType =
    CPtr<wasmtime_component_resource_type_t, wasmtime_component_resource_type_delete>;
using HostResource =
    CPtr<wasmtime_component_resource_host_t, wasmtime_component_resource_host_delete>;

/// A byte vector of the C API, deleted with its scope.
struct ByteVec : wasm_byte_vec_t {
  ByteVec() : wasm_byte_vec_t{0, nullptr} {}
  ~ByteVec() { wasm_byte_vec_delete(this); }
  ByteVec(const ByteVec&) = delete;
  ByteVec& operator=(const ByteVec&) = delete;
};

/// A type of the C API, deleted with its scope.
struct ValueType : wasmtime_component_valtype_t {
  ValueType() : wasmtime_component_valtype_t{} {}
  ~ValueType() { wasmtime_component_valtype_delete(this); }
  ValueType(const ValueType&) = delete;
  ValueType& operator=(const ValueType&) = delete;
};

/// The error's whole text, with its causes and the guest's backtrace if it has one.
inline std::string text_of(const wasmtime_error_t& error) {
  ByteVec message;
  wasmtime_error_message(&error, &message);
  return {message.data, message.size};
}

}  // namespace pie::wasm
