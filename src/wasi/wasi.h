#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wasi/http.h"
#include "wasm/object.h"
#include "wasm/readiness.h"

namespace pie::wasm {
class HostFunctions;
}

namespace pie::wasi {

/// Where a program's stdout and stderr go. Called from worker threads, one call at a time per
/// instance; nothing here may block.
class OutputPorts {
 public:
  virtual ~OutputPorts() = default;
  virtual void write_stdout(std::string_view bytes) = 0;
  virtual void write_stderr(std::string_view bytes) = 0;
  /// How many bytes are taken now; 0: the program's writes wait. One write may exceed it by less
  /// than kBlockingWriteBytesMax.
  virtual uint64_t writable_bytes() = 0;
  /// Calls `wake` once, from any thread, as soon as writable_bytes() is above 0 (at once, if it
  /// is).
  virtual void on_writable(std::function<void()> wake) = 0;
};

/// The most that blocking-write-and-flush takes in one call (WASI 0.2, wasi:io/streams).
inline constexpr uint64_t kBlockingWriteBytesMax = 4096;

/// What one instance needs of WASI; goes into InstanceSpec::contexts[wasm::kWasiContext].
struct WasiConfig {
  /// As wasi:cli/environment get-arguments gives them: the first is the program's name.
  std::vector<std::string> arguments;
  std::shared_ptr<OutputPorts> output;
  /// An event that fires after `ns` nanoseconds of monotonic time (Runtime::timer).
  std::function<wasm::ReadinessRef(uint64_t ns)> timer;
  OutgoingHttp* http = nullptr;        ///< null: no request to others is allowed
  std::string user;                    ///< whose requests they are
  std::shared_ptr<MemoryPort> memory;  ///< null: not bounded
};
std::unique_ptr<wasm::InstanceContext> make_wasi_context(WasiConfig config);

/// Defines WASI 0.2 as programs get it: io, cli (stdin is empty, there is no environment), clocks,
/// random, an empty list of preopened folders, http. Everything else of wasi:* (sockets, files) is
/// not defined, and so refused by result type where it is called.
/// Requires WasiContext at wasm::kWasiContext of every instance.
void define_wasi(wasm::HostFunctions& functions);

}  // namespace pie::wasi
