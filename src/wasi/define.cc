#include "wasi/interfaces.h"
#include "wasi/wasi.h"

namespace pie::wasi {

void define_wasi(wasm::HostFunctions& functions) {
  define_poll(functions);
  define_streams(functions);
  define_cli(functions);
  define_clocks(functions);
  define_random(functions);
  define_filesystem(functions);
  define_http_fields(functions);
  define_http_bodies(functions);
  define_http_incoming(functions);
  define_http_outgoing(functions);
}

}  // namespace pie::wasi
