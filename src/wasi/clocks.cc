#include <string>

#include "base/clock.h"
#include "wasi/interfaces.h"
#include "wasi/wasi_context.h"

namespace pie::wasi {
namespace {

using wasm::Call;
using wasm::Value;

Value datetime(uint64_t ns) {
  return Value::record({{"seconds", Value::u64(ns / 1'000'000'000)},
                        {"nanoseconds", Value::u32(static_cast<uint32_t>(ns % 1'000'000'000))}});
}

}  // namespace

void define_clocks(wasm::Registry& registry) {
  const std::string kMonotonic = "wasi:clocks/monotonic-clock";
  registry.function(kMonotonic, "now",
                    [](Call& call) { call.ret(Value::u64(system_clock().now_ns())); });
  registry.function(kMonotonic, "resolution", [](Call& call) { call.ret(Value::u64(1)); });
  registry.function(kMonotonic, "subscribe-duration", [](Call& call) {
    call.ret(wasm::make_pollable(context_of(call).timer(call.u64(0))));
  });
  registry.function(kMonotonic, "subscribe-instant", [](Call& call) {
    const uint64_t now = system_clock().now_ns(), when = call.u64(0);
    call.ret(wasm::make_pollable(context_of(call).timer(when > now ? when - now : 0)));
  });
  const std::string kWall = "wasi:clocks/wall-clock";
  registry.function(kWall, "now", [](Call& call) { call.ret(datetime(system_clock().wall_ns())); });
  registry.function(kWall, "resolution", [](Call& call) { call.ret(datetime(1)); });
}

}  // namespace pie::wasi
