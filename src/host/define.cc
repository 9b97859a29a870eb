#include "host/define.h"

namespace pie::host {

void define_host(wasm::Registry& registry) {
  define_common(registry);
  define_blobs(registry);
  define_resources(registry);
  define_forward(registry);
  define_tokenize(registry);
  define_runtime(registry);
  define_kvs(registry);
  define_message(registry);
  define_chat(registry);
  define_snapshot(registry);
  define_model_info(registry);
  define_unserved(registry);
}

}  // namespace pie::host
