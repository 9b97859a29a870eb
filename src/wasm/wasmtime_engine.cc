#include "wasm/wasmtime_engine.h"

#include <fmt/format.h>

#include <fstream>
#include <string_view>

#include "wasm/checksum.h"
#include "wasm/needs.h"
#include "wasm/wasmtime_extra.h"

namespace pie::wasm {
namespace {

/// Stack of a fiber: kWasmStackBytes for the guest, the rest for host functions (text search in
/// the tokenizer recurses). Address space only, until touched.
constexpr size_t kFiberStackBytes = 4UL << 20;
constexpr size_t kWasmStackBytes = 1UL << 20;

/// A program of a few bytes, or a thousand modules in it, may ask for an image that is all gaps.
constexpr uint64_t kSparseImageBytesMax = 64 << 10;

wasm_config_t* make_config() {
  wasm_config_t* config = wasm_config_new();
  wasmtime_config_epoch_interruption_set(config, true);
  wasmtime_config_concurrency_support_set(config, false);
  wasmtime_config_async_stack_size_set(config, kFiberStackBytes);
  wasmtime_config_max_wasm_stack_set(config, kWasmStackBytes);
  wasmtime_config_memory_reservation_set(config, kMemoryReservationBytes);
  wasmtime_config_memory_guard_size_set(config, kMemoryGuardBytes);
  wasmtime_config_memory_may_move_set(config, false);
  wasmtime_config_wasm_memory64_set(config, false);
  // A thread of the guest's that waits on an atomic would hold a worker.
  wasmtime_config_wasm_threads_set(config, false);
  pie_wasmtime_config_memories(config, kSparseImageBytesMax);
  return config;
}

/// Changes with every setting above that shapes compiled code.
std::string settings_text() {
  return fmt::format("epochs stack={} memory={}+{} fixed, images={}, no memory64, no threads",
                     kWasmStackBytes, kMemoryReservationBytes, kMemoryGuardBytes,
                     kSparseImageBytesMax);
}

/// The line of /proc/cpuinfo that lists the first CPU's features; empty where there is none.
std::string cpu_features() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("flags") || line.starts_with("Features")) return line;
  return {};
}

std::string make_fingerprint() {
  return fmt::format("{:016x}", checksum(fmt::format("wasmtime {}\n{}\n{}", WASMTIME_VERSION,
                                                     settings_text(), cpu_features())));
}

}  // namespace

WasmtimeEngine::WasmtimeEngine(RawEngine engine)
    : engine_(std::move(engine)), fingerprint_(make_fingerprint()) {}

Result<std::shared_ptr<WasmtimeEngine>> WasmtimeEngine::create() {
  RawEngine engine(wasm_engine_new_with_config(make_config()));
  if (!engine)
    return Error{ErrorCode::kInternal,
                 "[engine] wasmtime refused our settings; this machine may lack the address space "
                 "or a CPU feature it needs"};
  return std::shared_ptr<WasmtimeEngine>(new WasmtimeEngine(std::move(engine)));
}

}  // namespace pie::wasm
