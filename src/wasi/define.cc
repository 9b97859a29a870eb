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
  define_http_fields(registry);
  define_http_bodies(registry);
  define_http_incoming(registry);
  define_http_outgoing(registry);
}

}  // namespace pie::wasi
