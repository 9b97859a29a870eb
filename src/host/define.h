#pragma once
#include "wasm/registry.h"

namespace pie::host {

/// Registers every function and resource of `inferlet:*` and `pie:*`. They find their instance
/// under wasm::kHostContext, an InstanceState.
void define_host(wasm::Registry& registry);

// One interface each.
void define_common(wasm::Registry& registry);
void define_blobs(wasm::Registry& registry);
void define_resources(wasm::Registry& registry);  ///< the free functions of `common`
void define_forward(wasm::Registry& registry);
void define_tokenize(wasm::Registry& registry);
void define_runtime(wasm::Registry& registry);
void define_kvs(wasm::Registry& registry);
void define_message(wasm::Registry& registry);
void define_chat(wasm::Registry& registry);
void define_snapshot(wasm::Registry& registry);
void define_model_info(wasm::Registry& registry);
/// What links and ends the instance when it is called: inferlet:adapter, zo, image, actor.
void define_unserved(wasm::Registry& registry);

}  // namespace pie::host
