#include "wasi/interfaces.h"
#include "wasi/wasi.h"

namespace pie::wasi {

void define_wasi(wasm::Registry& registry) {
  define_poll(registry);
  define_streams(registry);
  define_cli(registry);
  define_clocks(registry);
  define_random(registry);
  define_filesystem(registry);
}

}  // namespace pie::wasi
