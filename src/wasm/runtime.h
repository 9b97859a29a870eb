#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ledger.h"
#include "base/limits.h"
#include "base/result.h"
#include "wasm/host_functions.h"
#include "wasm/object.h"

namespace pie::wasm {

struct RuntimeConfig {
  uint32_t worker_count = 2;
  uint32_t instances_max = 12'288;
  std::filesystem::path cache_folder;  ///< compiled components (*.cwasm)
  uint64_t cache_bytes_max = 4ULL << 30;
  /// What all instances may take of the kernel's mappings of this process; 0 = what
  /// vm.max_map_count allows.
  uint64_t mappings_max = 0;
  std::filesystem::path installed_folder;  ///< such files of the installation; empty = none
};

/// A compiled component, ready to instantiate; its imports are linked.
class Component {
 public:
  virtual ~Component() = default;
  virtual const std::string& hash() const = 0;
  /// Whether it exports this interface ("inferlet:core/run", "wasi:http/incoming-handler"), any
  /// 0.2.x version.
  virtual bool exports(const std::string& interface) const = 0;
};

/// How the call of the entry ended.
struct Outcome {
  enum class Kind {
    kOk,      ///< run returned ok, or the handler returned
    kErr,     ///< run returned err(text)
    kTrap,    ///< trap or GuestError; text = message and backtrace with the guest's function names
    kExit,    ///< wasi:cli/exit; exit_code
    kKilled,  ///< kill() was called
    kLimit,   ///< memory, CPU time, handles or a LimitError; text = which, used, allowed
    kFault,   ///< ours
  };
  Kind kind = Kind::kOk;
  std::string text;
  int exit_code = 0;
};

/// Which of a component's exports an instance runs.
enum class EntryPoint {
  kRun,          ///< inferlet:core/run#run: no arguments, result<_, string>
  kHttpHandler,  ///< wasi:http/incoming-handler#handle: the spec's arguments, no result
};

struct InstanceSpec {
  std::shared_ptr<const Component> component;
  EntryPoint entry = EntryPoint::kRun;
  std::vector<OwnedHandle> arguments;  ///< of the export
  InstanceLimits limits;
  UserQuotasRef quotas;  ///< memory and CPU time together with other instances; may be null
  std::array<std::unique_ptr<InstanceContext>, kContextCount> contexts;
  /// Called once, on a worker thread, after the store and every handle are gone. The contexts are
  /// alive until it returns.
  std::function<void(Outcome)> on_end;
  /// The fiber went to sleep in a wait; any thread of the pool; must be quick. May be null.
  std::function<void()> on_blocked;
};

/// A running instance: a fiber on the runtime's workers. Thread-safe.
class GuestInstance {
 public:
  virtual ~GuestInstance() = default;
  /// Ends it soon, whatever it does (measured: milliseconds); on_end follows.
  virtual void kill() = 0;
  virtual uint64_t memory_bytes() const = 0;
  virtual uint64_t cpu_ns() const = 0;
};

/// Compiles components and runs instances as fibers on a few worker threads with a ready queue of
/// its own. The only user of wasmtime's headers is this layer.
class Runtime {
 public:
  /// `functions` are complete and outlive the runtime.
  static Result<std::unique_ptr<Runtime>> create(const RuntimeConfig& config,
                                                 const HostFunctions& functions);
  virtual ~Runtime() = default;  ///< kills what runs and waits for it

  /// See host::ProgramHost::compile.
  virtual Result<std::shared_ptr<const Component>> compile(std::span<const uint8_t> wasm,
                                                           const std::string& hash) = 0;
  virtual Result<std::shared_ptr<GuestInstance>> launch(InstanceSpec spec) = 0;
  /// An event that fires after `ns` nanoseconds of monotonic time.
  virtual ReadinessRef timer(uint64_t ns) = 0;
};

/// Compiles a component into a folder that is to be another runtime's `installed_folder`, unless it
/// is there; the file. Files that were used longest ago go where all have more than these bytes.
Result<std::filesystem::path> compile_into(const std::filesystem::path& folder,
                                           uint64_t folder_bytes_max, std::span<const uint8_t> wasm,
                                           const std::string& hash);

}  // namespace pie::wasm
