#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/ledger.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/strong_id.h"
#include "engine/engine.h"
#include "host/ports.h"
#include "wasi/http.h"

namespace pie::host {

struct HostConfig {
  uint32_t worker_count = 2;
  uint32_t instances_max = 12'288;
  std::filesystem::path cache_folder;  ///< compiled programs, keyed by hash, engine and CPU
  uint64_t cache_bytes_max = 4ULL << 30;
  std::string server_version;                        ///< runtime.get-version
  std::map<std::string, std::string> model_aliases;  ///< further names -> ids, for get-model
};

/// A validated, compiled component. Immutable, shared by its instances.
class Program {
 public:
  virtual ~Program() = default;
  virtual const std::string& hash() const = 0;
  /// It exports wasi:http/incoming-handler.
  virtual bool serves_http() const = 0;
};

/// What an instance has of one model.
struct ModelUse {
  uint32_t kv_pages = 0;
  engine::PrefixSavings prefix;  ///< since its launch

  ModelUse& operator+=(const ModelUse& other) {
    kv_pages += other.kv_pages;
    prefix.hits += other.prefix.hits;
    prefix.tokens += other.prefix.tokens;
    return *this;
  }
};

/// A running instance. Thread-safe. Dropping the last reference does not end it.
class RunningInstance {
 public:
  virtual ~RunningInstance() = default;
  /// Appends to the FIFO that `message.receive` reads. kResourceExhausted when what the host keeps
  /// for the instance, or for its user, is as much as it may be.
  virtual Result<void> post_message(std::string text) = 0;
  virtual Result<void> post_blob(BlobRef blob) = 0;
  /// Bytes of posted messages that the program has not received: what a server looks at before it
  /// posts more.
  virtual uint64_t mailbox_bytes() const = 0;
  /// Ends it, whatever it does, within 100 ms; InstancePorts::on_end follows with this `end`
  /// (unless it ended by itself first). Later calls change nothing.
  virtual void terminate(End end) = 0;
  /// What it has of each model, in the order of ProgramHost::create's engines; shorter where it
  /// has nothing of the later ones.
  virtual std::vector<ModelUse> use_by_model() const = 0;
  uint32_t kv_pages_used() const {
    const auto uses = use_by_model();
    return std::accumulate(uses.begin(), uses.end(), 0U,
                           [](uint32_t sum, const ModelUse& use) { return sum + use.kv_pages; });
  }
  virtual uint64_t memory_bytes() const = 0;
  /// Whether anybody reads what is posted.
  virtual bool has_mailbox() const { return true; }
};

struct LaunchSpec {
  InstanceId id;
  std::string public_id;  ///< what clients and `get-instance-id` see
  std::string user;
  std::vector<std::string> arguments;
  InstanceLimits limits;
  UserQuotasRef quotas;  ///< with the user's other instances; may be null
  std::shared_ptr<const Program> program;
  std::shared_ptr<InstancePorts> ports;
  /// The request that it is to serve; null: it runs inferlet:core/run.
  std::shared_ptr<wasi::IncomingExchange> exchange;
};

/// Runs programs: compiles components, launches instances on a few worker threads.
class ProgramHost {
 public:
  /// `engines`, `kvs`, `bus` and `http` outlive the host; the first engine is the default model's.
  /// `http` null: programs may not send requests to others.
  static Result<std::unique_ptr<ProgramHost>> create(const HostConfig& config,
                                                     std::vector<engine::Engine*> engines,
                                                     KvsPort& kvs, BusPort& bus,
                                                     wasi::HttpClientPort* http = nullptr);
  /// Terminates what runs and waits for it.
  virtual ~ProgramHost() = default;

  /// Validates and compiles, or loads the compiled form from the cache folder. Takes seconds for
  /// large programs: not for a thread that serves others. kInvalidArgument says what is wrong with
  /// the component: not a component, no `inferlet:core/run` export, an import nobody knows.
  virtual Result<std::shared_ptr<const Program>> compile(std::span<const uint8_t> wasm,
                                                         const std::string& hash) = 0;
  /// Starts an instance; its ports hear of everything else. kResourceExhausted at instances_max.
  virtual Result<std::shared_ptr<RunningInstance>> launch(LaunchSpec spec) = 0;
};

}  // namespace pie::host
