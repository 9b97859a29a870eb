#pragma once
#include "wasm/store_data.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// Entry points given to wasmtime; `data` is the Import, the store's data the StoreData. They catch
/// every exception, name the function in front of its text, and settle every handle among the
/// arguments, used or not (wasmtime traps a call that leaves a borrow behind).
wasmtime_error_t* call_sync_import(void* data, wasmtime_context_t* context,
                                   const wasmtime_component_func_type_t* type,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count);
void call_async_import(void* data, wasmtime_context_t* context,
                       const wasmtime_component_func_type_t* type,
                       wasmtime_component_val_t* arguments, size_t argument_count,
                       wasmtime_component_val_t* results, size_t result_count,
                       wasmtime_error_t** error, wasmtime_async_continuation_t* continuation);
/// An import that is not served.
wasmtime_error_t* call_unserved_import(void* data, wasmtime_context_t* context,
                                       const wasmtime_component_func_type_t* type,
                                       wasmtime_component_val_t* arguments, size_t argument_count,
                                       wasmtime_component_val_t* results, size_t result_count);
/// An import of one of wasmtime_extra.h's shapes.
wasmtime_error_t* call_bulk_import(void* data, wasmtime_context_t* context,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count);
void call_bulk_async_import(void* data, wasmtime_context_t* context,
                            wasmtime_component_val_t* arguments, size_t argument_count,
                            wasmtime_component_val_t* results, size_t result_count,
                            wasmtime_error_t** error, wasmtime_async_continuation_t* continuation);
/// The guest dropped an owned handle.
wasmtime_error_t* drop_object(void* data, wasmtime_context_t* context, uint32_t number);

}  // namespace pie::wasm
