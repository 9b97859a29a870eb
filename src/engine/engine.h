#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ledger.h"
#include "base/result.h"
#include "base/strong_id.h"
#include "engine/forward_pass.h"
#include "engine/snapshot/snapshot.h"
#include "exec/executor.h"
#include "model/adapter.h"
#include "model/model.h"

namespace pie::engine {

struct EngineConfig {
  uint32_t step_tokens_max = 512;  ///< token budget of a step; longer prompts go in chunks
  double gather_fraction = 0.25;   ///< of the last step's time: the longest wait for programs that
                                   ///< got a result and may submit again
  uint64_t gather_ns_max = 2'000'000;     ///< and the longest of all such waits
  uint64_t step_ns_max = 100'000'000;     ///< of a step while programs decode beside longer passes,
                                          ///< which go in smaller chunks then; 0: unlimited
  uint64_t seed = 0;                      ///< of the samplers; 0 = from the machine's random source
  bool prefix_cache = true;               ///< what was computed of a text is not computed again
  bool prefix_cache_shared = false;       ///< nor for another user
  std::filesystem::path swap_folder;      ///< where pages go when the pool is short; empty: nowhere
  uint64_t swap_bytes_max = 0;            ///< 0: by the free disk space
  std::filesystem::path snapshot_folder;  ///< where named contexts are kept; empty: nowhere
  uint64_t snapshot_user_bytes_max = 4ULL << 30;  ///< of one user
};

struct InstanceOptions {
  uint32_t kv_pages_max = 0;  ///< 0 = what the pool holds
  UserQuotasRef shared;       ///< pages together with other instances; may be null
  std::string user;           ///< whose exported names it sees, besides those of `internal`
};

/// A name under which resources are exported, and how many there are.
struct ExportedName {
  std::string name;
  uint32_t count = 0;
  bool operator==(const ExportedName&) const = default;
};

/// Passes of an instance that found computed pages, and the tokens in these.
struct PrefixSavings {
  uint64_t hits = 0, tokens = 0;
};

struct EngineStats {
  uint32_t kv_pages_capacity = 0, kv_pages_used = 0;
  uint32_t embeddings_capacity = 0, embeddings_used = 0;
  uint32_t instance_count = 0;
  uint32_t kv_pages_exported = 0, embeddings_exported = 0;
  uint32_t kv_pages_cached = 0;  ///< free ones that still hold what may be asked for again
  uint32_t swap_pages_capacity = 0, swap_pages_used = 0;
  uint64_t swap_pages_stored = 0, swap_pages_loaded = 0;  ///< so far
  uint64_t prefix_hits = 0, prefix_tokens_saved = 0;      ///< passes that found something
  uint64_t steps = 0, tokens_computed = 0, tokens_generated = 0;
  uint64_t step_ns = 0;          ///< of all steps, each from its plan to its last sample
  double tokens_per_second = 0;  ///< generated, over the last seconds of work
  double step_ms_mean = 0;
};

/// One model's step loop on a thread of its own, and the queues in front of it.
///
/// Calls come from any thread and return at once; callbacks come on the engine thread. Commands of
/// one queue take effect in order. What can be wrong with a command is checked by the call, against
/// the pointers that the instance holds, and is returned as kInvalidArgument ("[call] got X,
/// expected Y"); the engine thread sees valid commands only.
///
/// Adapters are values: what a pointer stands for is there at once and for everybody who has it,
/// and is replaced as a whole.
///
/// Pointers are handed out at once; physical pages are bound when a pass needs them. When the pool
/// is dry, passes wait in line, oldest instance first, while cold pages (of instances that are
/// blocked, then of the youngest in line) go to the swap file; only when that is full or fails, and
/// every instance that holds pages waits, the youngest of these gets kResourceExhausted.
///
/// Whole pages of tokens that an instance of the same user has computed before are not computed
/// again (where nothing is asked of these tokens); who asks for what is being computed right now
/// waits for it.
///
/// A closed queue and one of a closed (or unknown) instance refuse commands with
/// kFailedPrecondition; more than 4096 commands of one instance that wait are refused with
/// kResourceExhausted. No call's cost under the engine's lock exceeds what the instance holds or
/// the pool has.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const model::Model> model,
                                                std::unique_ptr<exec::Executor> executor,
                                                const EngineConfig& config,
                                                const Clock& clock = system_clock());
  /// Stops the loop; callbacks of what is pending get kCancelled.
  virtual ~Engine() = default;

  virtual const model::Model& model() const = 0;
  virtual uint32_t page_size() const = 0;

  /// Makes an instance known; a smaller id is older.
  virtual void open_instance(InstanceId instance, const InstanceOptions& options) = 0;
  /// Drops its commands and frees what it holds as soon as the step in flight ends; then `closed`
  /// is called (also for an unknown instance).
  virtual void close_instance(InstanceId instance, std::function<void()> closed) = 0;
  /// The instance's program waits for something that is not this engine (a message, a timer): the
  /// loop need not hold the next step for it. The next command ends that state. Unknown ids are
  /// ignored.
  virtual void instance_blocked(InstanceId instance) = 0;

  /// Costs the engine thread nothing until the first command.
  virtual QueueId create_queue(InstanceId instance) = 0;
  /// The queue takes no more commands; those that it has take effect. Unknown ids are ignored.
  virtual void close_queue(QueueId queue) = 0;
  virtual void set_priority(QueueId queue, Priority priority) = 0;

  /// `count` pointers, smallest free ones first, ascending. kResourceExhausted over the instance's
  /// limit or its user's (message: which, used, allowed); kInvalidArgument
  /// for an unknown type. What was deallocated counts as long as commands that
  /// wait name it.
  virtual Result<std::vector<uint32_t>> allocate(QueueId queue, uint32_t resource_type,
                                                 uint32_t count) = 0;
  /// Unmaps the pointers now; what they hold is free when no command that waits names it.
  virtual Result<void> deallocate(QueueId queue, uint32_t resource_type,
                                  std::span<const uint32_t> pointers) = 0;

  /// Gives a name of the instance's user references of its own to what the pointers hold when the
  /// queue gets there; they outlive the instance. kAlreadyExists for a name in use.
  virtual Result<void> export_resources(QueueId queue, uint32_t resource_type,
                                        std::span<const uint32_t> pointers,
                                        const std::string& name) = 0;
  /// New pointers to what was exported, copied when it is written. kNotFound.
  virtual Result<std::vector<uint32_t>> import_resources(QueueId queue, uint32_t resource_type,
                                                         const std::string& name) = 0;
  /// Drops a name of the instance's user; whoever imported keeps its pages. kNotFound.
  virtual Result<void> release_exported(QueueId queue, uint32_t resource_type,
                                        const std::string& name) = 0;
  /// What import_resources() finds, by name.
  virtual Result<std::vector<ExportedName>> exported(QueueId queue, uint32_t resource_type) = 0;

  /// Keeps what the pages hold when the queue gets there under a name of the instance's user, in
  /// place of what had that name. `done` comes when it is on the disk, or with what went wrong
  /// (kResourceExhausted: no room). What is wrong with the request is returned at once.
  virtual Result<void> save_snapshot(QueueId queue, SnapshotRequest request,
                                     SnapshotSaved done) = 0;
  /// New pointers to what was saved; their pages come to the pool when a pass needs them. kNotFound
  /// at once; by `done` kCorrupt, kFailedPrecondition (of another model or layout) and limits.
  virtual Result<void> load_snapshot(QueueId queue, const std::string& name,
                                     SnapshotLoaded done) = 0;
  virtual Result<std::vector<SnapshotInfo>> list_snapshots(QueueId queue) = 0;
  /// kNotFound. Who has loaded it keeps its pages.
  virtual Result<void> remove_snapshot(QueueId queue, const std::string& name) = 0;

  /// What an adapter pointer stands for; null when nothing was put there yet. `call` is named in
  /// errors.
  virtual Result<model::AdapterRef> adapter(std::string_view call, QueueId queue,
                                            uint32_t pointer) = 0;
  /// From now on the pointer stands for this one. Passes that were submitted, exports and imports
  /// keep what they have.
  virtual Result<void> put_adapter(std::string_view call, QueueId queue, uint32_t pointer,
                                   model::AdapterRef adapter) = 0;

  /// Appends a pass. `done` is called also when the pass asks for no output.
  virtual Result<void> submit(QueueId queue, ForwardPass pass, ForwardCallback done) = 0;
  /// Calls `done` when all earlier commands of the queue are completed (false: cancelled).
  virtual Result<void> synchronize(QueueId queue, std::function<void(bool)> done) = 0;

  /// KV pages of the pool that an instance holds now; 0 for an unknown one.
  virtual uint32_t kv_pages_used(InstanceId instance) const = 0;
  /// What the prefix cache saved an instance so far; zeros for an unknown one.
  virtual PrefixSavings prefix_savings(InstanceId instance) const = 0;
  virtual EngineStats stats() const = 0;
};

}  // namespace pie::engine
