#pragma once
#include <wasmtime.h>
#include <wasmtime/async.h>
#include <wasmtime/component.h>

#include <cstddef>
#include <cstdint>

/// Defined in native/wasmtime/src.
extern "C" {

/// How many bytes of lifted values one host call may copy out of a program (default 128 MiB); each
/// element of a list weighs 48.
void pie_wasmtime_context_set_hostcall_fuel(wasmtime_context_t* context, size_t bytes);

/// Memory images, without a guard before each memory: an image that is no more than half data is
/// made up to `sparse_image_bytes_max` only, else the data is copied at each instantiation.
void pie_wasmtime_config_memories(wasm_config_t* config, uint64_t sparse_image_bytes_max);

/// How many things a store may have, and how long a table may be.
struct pie_wasmtime_limits_t {
  uint32_t instances;
  uint32_t memories;
  uint32_t tables;
  uint64_t table_elements;
};
/// Who is asked for memory: `take` before a memory is made with `bytes`, or grows by them; false
/// refuses. `failed`: the machine did not have the bytes that `take` has granted last.
struct pie_wasmtime_memory_owner_t {
  void* data;
  bool (*take)(void* data, uint64_t bytes);
  void (*failed)(void* data, uint64_t bytes);
};
/// `owner.data` outlives the store. Nobody is told when memories go: they go with the store.
void pie_wasmtime_store_limits(wasmtime_store_t* store, pie_wasmtime_limits_t limits,
                               pie_wasmtime_memory_owner_t owner);

/// What this thread has allocated in wasmtime, less what it has freed; differences count.
int64_t pie_wasmtime_thread_heap_bytes(void);

/// What an instance of a component takes besides the bytes in its memories.
struct pie_wasmtime_needs_t {
  uint32_t memories;
  uint32_t tables;
  uint64_t table_elements;  ///< of the largest table
};
/// False when it can't be told, which is so for components that import core modules.
bool pie_wasmtime_component_needs(const wasmtime_component_t* component, pie_wasmtime_needs_t* out);

/// Functions whose lists of numbers are copied whole instead of value by value.
enum pie_wasmtime_bulk_shape_t : uint32_t {
  PIE_WASMTIME_BYTES_TO_RESOURCE = 0,       ///< func(list<u8>) -> own<T>
  PIE_WASMTIME_RANGE_TO_BYTES = 1,          ///< func(borrow<T>, u64, u64) -> list<u8>
  PIE_WASMTIME_COUNT_TO_BYTES = 2,          ///< func(u64) -> list<u8>
  PIE_WASMTIME_RESOURCE_TO_RANKINGS = 3,    ///< -> option<list<tuple<list<u32>, list<f32>>>>
  PIE_WASMTIME_RESOURCE_TO_VOCABULARY = 4,  ///< -> tuple<list<u32>, list<list<u8>>>
  PIE_WASMTIME_NOTHING_TO_BYTES = 5,        ///< func() -> list<u8>
  PIE_WASMTIME_TEXT_TO_BYTES = 6,           ///< func(string) -> option<list<u8>>
  PIE_WASMTIME_TEXT_AND_BYTES = 7,          ///< func(string, list<u8>) -> result<_, string>
};
/// As the C API's callback, without the type. A list of numbers is a value of kind string with the
/// numbers' bytes, among the arguments and within the result.
typedef wasmtime_error_t* (*pie_wasmtime_bulk_callback_t)(void* data, wasmtime_context_t* context,
                                                          wasmtime_component_val_t* arguments,
                                                          size_t argument_count,
                                                          wasmtime_component_val_t* results,
                                                          size_t result_count);
/// Defines a synchronous function. `data` outlives the linker and is used by any thread.
wasmtime_error_t* pie_wasmtime_component_linker_instance_add_bulk_func(
    wasmtime_component_linker_instance_t* instance, const char* name, size_t name_length,
    pie_wasmtime_bulk_shape_t shape, pie_wasmtime_bulk_callback_t callback, void* data);

/// As the C API's asynchronous callback, without the type.
typedef void (*pie_wasmtime_bulk_async_callback_t)(void* data, wasmtime_context_t* context,
                                                   wasmtime_component_val_t* arguments,
                                                   size_t argument_count,
                                                   wasmtime_component_val_t* results,
                                                   size_t result_count, wasmtime_error_t** error,
                                                   wasmtime_async_continuation_t* continuation);
/// Defines a function that waits: of PIE_WASMTIME_RANGE_TO_BYTES only.
wasmtime_error_t* pie_wasmtime_component_linker_instance_add_bulk_func_async(
    wasmtime_component_linker_instance_t* instance, const char* name, size_t name_length,
    pie_wasmtime_bulk_shape_t shape, pie_wasmtime_bulk_async_callback_t callback, void* data);
}
