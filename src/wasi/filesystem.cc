#include "wasi/interfaces.h"
#include "wasm/call.h"

namespace pie::wasi {

/// wasi:filesystem: no folder is open to programs, so no function of `types` can be reached but
/// filesystem-error-code, whose refusal (none) is right.
void define_filesystem(wasm::Registry& registry) {
  registry.function("wasi:filesystem/preopens", "get-directories",
                    [](wasm::Call& call) { call.ret(wasm::Value::list({})); });
}

}  // namespace pie::wasi
