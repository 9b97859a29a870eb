#pragma once
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/program_host.h"
#include "protocol/messages.h"
#include "server/config.h"
#include "server/disk_reserve.h"
#include "store/registry.h"
#include "store/store.h"

namespace pie::server {

/// A program ready to launch.
struct LaunchableProgram {
  std::shared_ptr<const host::Program> program;
  std::string display_name;  ///< "ns/name@version", or the hash
};

/// Which program a name or hash stands for, and its compiled form (protocol.md, section 6).
/// Thread-safe; calls that compile take seconds.
class ProgramLibrary {
 public:
  enum class From { kAnywhere, kRegistryFirst };

  ProgramLibrary(store::Programs& programs, store::Registry& registry, host::ProgramHost& host,
                 const DiskReserve& reserve, const ServerLimits& limits)
      : programs_(programs), registry_(registry), host_(host), reserve_(reserve), limits_(limits) {}

  /// Compiles it, so that a bad one is refused here, and keeps it for the user. kResourceExhausted,
  /// before it is compiled, when the user has uploaded as much as is allowed or the disk is full.
  Result<void> upload(const std::string& user, const std::string& hash, std::string_view wasm,
                      const std::optional<std::string>& manifest);
  /// The answer to `query program_exists`.
  Result<bool> exists(const std::string& user, const std::string& record);
  /// As open(), when the program is compiled already; never takes long. Null when it is not.
  std::optional<Result<LaunchableProgram>> open_compiled(const std::string& user,
                                                         const protocol::ProgramRef& reference,
                                                         From from);
  /// kNotFound "Program not found"; kFailedPrecondition names a missing or cyclic dependency.
  Result<LaunchableProgram> open(const std::string& user, const protocol::ProgramRef& reference,
                                 From from);

 private:
  struct Named {
    std::string hash;
    std::string display_name;
  };
  using Compiled = Result<std::shared_ptr<const host::Program>>;
  Result<store::NamedProgram> resolve(const std::string& user, const store::ProgramName& name,
                                      From from);
  /// The names whose manifests hold when this user launches the hash: the user's own, else those
  /// that `internal` published, else the registry's. Somebody else's manifest binds nobody.
  Result<std::vector<store::NamedProgram>> names_of(const std::string& user,
                                                    const std::string& hash);
  /// Whether the dependencies of at least one of the names are there, or there is no name.
  Result<void> check_any(const std::string& user, const std::vector<store::NamedProgram>& names);
  Result<void> check_dependencies(const std::string& user, const store::NamedProgram& program,
                                  std::vector<std::string>& path, std::set<std::string>& sound);
  Result<Named> name_and_hash(const std::string& user, const protocol::ProgramRef& reference,
                              From from);
  Result<std::string> wasm_of(const std::string& hash);
  /// Compiles once, however many ask at the same time. `wasm` null: it is read when needed. Those
  /// used longest ago are let go (their compiled form stays on the disk).
  Compiled compiled(const std::string& hash, const std::string_view* wasm);

  store::Programs& programs_;
  store::Registry& registry_;
  host::ProgramHost& host_;
  const DiskReserve& reserve_;
  std::mutex mutex_;
  std::condition_variable changed_;
  struct Ready {
    std::shared_ptr<const host::Program> program;
    uint64_t charged_bytes = 0;
    uint64_t used = 0;  ///< the greater, the later
  };
  std::shared_ptr<const host::Program> find_ready(const std::string& hash);
  void keep_ready(const std::string& hash, std::shared_ptr<const host::Program> program,
                  uint64_t wasm_bytes);
  void let_go(const std::string& hash);

  const ServerLimits limits_;
  std::map<std::string, Ready> ready_;  ///< compiled ones, by hash
  uint64_t ready_bytes_ = 0;
  uint64_t uses_ = 0;
  std::set<std::string> compiling_;
};

}  // namespace pie::server
