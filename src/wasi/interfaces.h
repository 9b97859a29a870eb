#pragma once
#include "wasm/host_functions.h"

namespace pie::wasi {

/// One function per package of WASI; define_wasi() calls them all.
void define_poll(wasm::HostFunctions& functions);
void define_streams(wasm::HostFunctions& functions);
void define_cli(wasm::HostFunctions& functions);
void define_clocks(wasm::HostFunctions& functions);
void define_random(wasm::HostFunctions& functions);
void define_filesystem(wasm::HostFunctions& functions);
// wasi:http, in four parts.
void define_http_fields(wasm::HostFunctions& functions);
void define_http_bodies(wasm::HostFunctions& functions);
void define_http_incoming(wasm::HostFunctions& functions);
void define_http_outgoing(wasm::HostFunctions& functions);

}  // namespace pie::wasi
