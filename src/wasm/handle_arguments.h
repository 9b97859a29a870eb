#pragma once
#include "wasm/store_data.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// A list of handles is at most so long: each costs some 200 ns, and a wait looks at each.
inline constexpr size_t kHandlesPerListMax = 32'768;

/// Takes every handle among the arguments through wasmtime into store.handle_arguments: owned ones
/// leave the table, borrows are given back. Throws GuestError for a handle that is not ours.
void take_handles(StoreData& store, wasmtime_context_t* context,
                  const wasmtime_component_val_t* arguments, size_t argument_count);
/// Lets go of them; keeps the storage that ordinary calls need.
inline void release_handles(StoreData& store) {
  constexpr size_t kKept = 64;
  auto& handles = store.handle_arguments;
  handles.all.clear();
  handles.read_count = 0;
  if (handles.all.capacity() > kKept) handles.all.shrink_to_fit();
}

}  // namespace pie::wasm
