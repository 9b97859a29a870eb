#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/launch_spec.h"
#include "host/running_instance.h"
#include "ports/bus.h"
#include "ports/http.h"
#include "ports/key_values.h"

namespace pie::engine {
class Engine;
}

namespace pie::host {

struct HostConfig {
  uint32_t worker_count = 2;
  uint32_t instances_max = 12'288;
  std::filesystem::path cache_folder;  ///< compiled programs, keyed by hash, engine and CPU
  uint64_t cache_bytes_max = 4ULL << 30;
  std::filesystem::path installed_folder;            ///< more of them, which are only read
  std::string server_version;                        ///< runtime.get-version
  std::map<std::string, std::string> model_aliases;  ///< further names -> ids, for get-model
};

/// Runs programs: compiles components, runs instances on a few worker threads.
class ProgramHost {
 public:
  /// `engines`, `kvs`, `bus` and `http` outlive the host; the first engine is the default model's.
  /// `http` null: programs may not send requests to others.
  static Result<std::unique_ptr<ProgramHost>> create(const HostConfig& config,
                                                     std::vector<engine::Engine*> engines,
                                                     KeyValues& kvs, Bus& bus,
                                                     OutgoingHttp* http = nullptr);
  /// See wasm::compile_into.
  static Result<std::filesystem::path> compile_into(const std::filesystem::path& folder,
                                                    uint64_t folder_bytes_max,
                                                    std::span<const uint8_t> wasm,
                                                    const std::string& hash);
  /// Terminates what runs and waits for it.
  virtual ~ProgramHost() = default;

  /// Validates and compiles, or loads the compiled form from the cache folder. Takes seconds for
  /// large programs: not for a thread that serves others. kInvalidArgument says what is wrong with
  /// the component: not a component, no `inferlet:core/run` export, an import nobody knows.
  virtual Result<std::shared_ptr<const Program>> compile(std::span<const uint8_t> wasm,
                                                         const std::string& hash) = 0;
  /// The program that `source` is in the hands of `runtime`, a program of this host that reads it
  /// by pie:program/source. `hash` is that of the source.
  virtual Result<std::shared_ptr<const Program>> with_source(
      const std::shared_ptr<const Program>& runtime, BlobRef source, std::string hash) = 0;
  /// An instance that start() lets run. It is started before the host is destroyed, or dropped.
  virtual Result<std::shared_ptr<RunningInstance>> prepare(LaunchSpec spec) = 0;
};

}  // namespace pie::host
