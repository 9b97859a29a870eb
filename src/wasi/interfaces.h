#pragma once
#include "wasm/registry.h"

namespace pie::wasi {

/// One function per package of WASI; define_wasi() calls them all.
void define_poll(wasm::Registry& registry);
void define_streams(wasm::Registry& registry);
void define_cli(wasm::Registry& registry);
void define_clocks(wasm::Registry& registry);
void define_random(wasm::Registry& registry);
void define_filesystem(wasm::Registry& registry);
// wasi:http, in four parts.
void define_http_fields(wasm::Registry& registry);
void define_http_bodies(wasm::Registry& registry);
void define_http_incoming(wasm::Registry& registry);
void define_http_outgoing(wasm::Registry& registry);

}  // namespace pie::wasi
