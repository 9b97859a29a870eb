#include <string>

#include "base/clock.h"
#include "wasi/interfaces.h"
#include "wasi/wasi_context.h"
#include "wasm/host_functions.h"
#include "wasm/wit_described.h"

namespace pie::wasi {
namespace {

using wasm::ReadinessRef;

struct Datetime {
  uint64_t seconds = 0;
  uint32_t nanoseconds = 0;
};
constexpr auto wit_type(const Datetime*) {
  return wasm::record(wasm::field("seconds", &Datetime::seconds),
                      wasm::field("nanoseconds", &Datetime::nanoseconds));
}

Datetime datetime(uint64_t ns) {
  return {ns / 1'000'000'000, static_cast<uint32_t>(ns % 1'000'000'000)};
}

ReadinessRef subscribe_instant(WasiContext& context, uint64_t when) {
  const uint64_t now = system_clock().now_ns();
  return context.timer(when > now ? when - now : 0);
}

}  // namespace

void define_clocks(wasm::HostFunctions& functions) {
  const std::string kMonotonic = "wasi:clocks/monotonic-clock";
  functions.add(kMonotonic, "now", [] { return system_clock().now_ns(); });
  functions.add(kMonotonic, "resolution", [] { return uint64_t{1}; });
  functions.add(kMonotonic, "subscribe-duration",
                [](WasiContext& context, uint64_t ns) { return context.timer(ns); });
  functions.add(kMonotonic, "subscribe-instant", subscribe_instant);
  const std::string kWall = "wasi:clocks/wall-clock";
  functions.add(kWall, "now", [] { return datetime(system_clock().wall_ns()); });
  functions.add(kWall, "resolution", [] { return datetime(1); });
}

}  // namespace pie::wasi
