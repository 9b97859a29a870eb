#pragma once
#include "wasm/host_functions.h"

namespace pie::host {

/// Registers every function and resource of `inferlet:*` and `pie:*`. They find their instance as
/// an InstanceState&.
void define_host(wasm::HostFunctions& functions);

// One interface each; what is declared here is added to the list below.
void define_common(wasm::HostFunctions& functions);
void define_blobs(wasm::HostFunctions& functions);
void define_resources(wasm::HostFunctions& functions);  ///< the free functions of `common`
void define_forward(wasm::HostFunctions& functions);
void define_tokenize(wasm::HostFunctions& functions);
void define_runtime(wasm::HostFunctions& functions);
void define_kvs(wasm::HostFunctions& functions);
void define_message(wasm::HostFunctions& functions);
void define_chat(wasm::HostFunctions& functions);
void define_conversation(wasm::HostFunctions& functions);
void define_snapshot(wasm::HostFunctions& functions);
void define_model_info(wasm::HostFunctions& functions);
void define_generate(wasm::HostFunctions& functions);
void define_logits(wasm::HostFunctions& functions);
void define_grammar(wasm::HostFunctions& functions);
void define_program(wasm::HostFunctions& functions);
void define_instance(wasm::HostFunctions& functions);  ///< and its log lines
void define_children(wasm::HostFunctions& functions);
void define_adapter(wasm::HostFunctions& functions);
void define_evolve(wasm::HostFunctions& functions);
/// What links and ends the instance when it is called: inferlet:image, actor.
void define_unserved(wasm::HostFunctions& functions);

inline constexpr void (*kInterfaces[])(wasm::HostFunctions&) = {
    define_common,   define_blobs,      define_resources, define_forward, define_tokenize,
    define_runtime,  define_kvs,        define_message,   define_chat,    define_conversation,
    define_snapshot, define_model_info, define_generate,  define_logits,  define_grammar,
    define_program,  define_instance,   define_children,  define_adapter, define_evolve,
    define_unserved,
};

}  // namespace pie::host
