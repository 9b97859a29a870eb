#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/charged_slots.h"
#include "engine/domains.h"
#include "engine/engine.h"
#include "engine/message.h"
#include "engine/commands/check_pass.h"
#include "kv/pointer_table.h"

namespace pie::engine {

class SnapshotStore;

/// Embedding slots of all instances and of one: a program cannot fill the memory through them.
constexpr uint32_t kEmbeddingsCapacity = 16384;
constexpr uint32_t kEmbeddingsPerInstance = 1024;
/// Commands of one instance that wait in queues: a program that never waits for a result meets it.
constexpr uint32_t kCommandsPendingMax = 4096;

/// What the step loop reports after a turn.
struct Settlement {
  std::vector<kv::SlotId> unpinned_pages;  ///< by commands that are done
  std::vector<kv::SlotId> unpinned_embeddings;
  std::vector<kv::SlotId> dead_pages;
  std::vector<kv::SlotId> dead_embeddings;
  std::vector<std::pair<InstanceId, uint32_t>> kv_pages_held;  ///< what has changed
  std::vector<sched::PrefixHit> hits;
  EngineStats stats;
};

/// The engine as its callers see it: instances, their pointers and limits, the check of every
/// command, and the inbox of the step loop. Thread-safe; one lock, held for the time of a look-up.
///
/// It also knows whom the next step is worth waiting for: an instance is *expected* from the
/// publication of a result until its next pass or synchronize, until it blocks on something else,
/// or until it is closed.
class Front {
 public:
  /// `snapshots` may be null.
  Front(const EngineLimits& limits, const EngineConfig& config, SnapshotStore* snapshots);

  // From any thread; contracts in engine.h.
  void open_instance(InstanceId instance, const InstanceOptions& options);
  void close_instance(InstanceId instance, std::function<void()> closed);
  void instance_blocked(InstanceId instance);
  QueueId create_queue(InstanceId instance);
  void close_queue(QueueId queue);
  void set_priority(QueueId queue, Priority priority);
  Result<std::vector<uint32_t>> allocate(QueueId queue, uint32_t resource_type, uint32_t count);
  Result<void> deallocate(QueueId queue, uint32_t resource_type,
                          std::span<const uint32_t> pointers);
  Result<void> export_resources(QueueId queue, uint32_t resource_type,
                                std::span<const uint32_t> pointers, const std::string& name);
  Result<std::vector<uint32_t>> import_resources(QueueId queue, uint32_t resource_type,
                                                 const std::string& name);
  Result<void> release_exported(QueueId queue, uint32_t resource_type, const std::string& name);
  Result<std::vector<ExportedName>> exported(QueueId queue, uint32_t resource_type);
  Result<void> save_snapshot(QueueId queue, SnapshotRequest request, SnapshotSaved done);
  Result<void> load_snapshot(QueueId queue, const std::string& name, SnapshotLoaded done);
  Result<std::vector<SnapshotInfo>> list_snapshots(QueueId queue);
  Result<void> remove_snapshot(QueueId queue, const std::string& name);
  Result<void> submit(QueueId queue, ForwardPass pass, ForwardCallback done);
  Result<void> synchronize(QueueId queue, std::function<void(bool)> done);
  uint32_t kv_pages_used(InstanceId instance) const;
  PrefixSavings prefix_savings(InstanceId instance) const;
  EngineStats stats() const;
  /// The step loop is to end.
  void stop();

  // From the engine thread.
  std::vector<Message> receive();
  bool stopping() const;
  /// Waits for a message; false when none came in time.
  bool wait(std::optional<std::chrono::nanoseconds> patience);
  /// The instances, once per result, are about to get results.
  void expect(std::span<const InstanceId> instances);
  /// Waits until nobody is expected any more, at most `patience`; then expects nobody.
  void gather(std::chrono::nanoseconds patience);
  void settle(Settlement settlement);
  /// `count` commands of the instance are done. `wakes`: its program waits for that.
  void retire(InstanceId instance, uint32_t count, bool wakes = false);
  /// The instances that wait for something that is not this engine. From now on (`wakes`), or no
  /// longer, one more of them is as good as a message for wait().
  std::set<InstanceId> paused(bool wakes);
  /// Pointers of the instance to fresh slots, of which the step loop knows.
  struct Mapped {
    std::vector<uint32_t> pointers;
    std::vector<kv::SlotId> slots;
  };
  Result<Mapped> map_snapshot(InstanceId instance, uint64_t count);

  // From the disk thread.
  void page_moved(PageMoved message);
  /// `call` is called on the engine thread.
  void notify(std::function<void()> call);

 private:
  struct Instance {
    uint32_t kv_pages_max = 0;
    std::string user;
    std::unordered_set<QueueId> queues;
    SlotAccountRef page_account = std::make_shared<SlotAccount>();
    SlotAccountRef embedding_account = std::make_shared<SlotAccount>();
    uint32_t pending_commands = 0;
    uint64_t pass_count = 0;
    uint32_t domain = 0;   ///< of the prefix cache
    bool blocked = false;  ///< on something else; until its next command or result
    PrefixSavings savings;
    kv::PointerTable pages;
    kv::PointerTable embeddings;

    const SlotAccountRef& account(ResourceType type) const {
      return type == ResourceType::kKvPage ? page_account : embedding_account;
    }
    kv::PointerTable& table(ResourceType type) {
      return type == ResourceType::kKvPage ? pages : embeddings;
    }
  };
  struct Queue {
    InstanceId instance;
    Priority priority = Priority::kNormal;
    bool is_open = false;  ///< for the step loop: it has had a command
    /// Its ChangePriority that waits: the inbox's number, and where in it.
    std::pair<uint64_t, size_t> change = {0, 0};
  };
  struct Owner {
    InstanceId id;
    Instance* instance;
    Queue* queue;
  };
  /// What a name of a user stands for.
  struct Export {
    uint64_t number = 0;
    std::vector<kv::SlotId> slots;
  };
  struct ExportKey {
    std::string user;
    ResourceType type;
    std::string name;
    auto operator<=>(const ExportKey&) const = default;
  };
  /// The user's own name, else one that `internal` published.
  const Export* find_export(const std::string& user, ResourceType type, const std::string& name);
  Result<void> admit_slots(std::string_view call, const Instance& instance, ResourceType type,
                           uint64_t count, bool is_own);
  Result<std::vector<kv::SlotId>> find_slots(std::string_view call, Instance& instance,
                                             ResourceType type, std::span<const uint32_t> pointers);
  Mapped map_slots(Instance& instance, ResourceType type, uint64_t count);
  std::vector<kv::SlotId> take_slots(const SlotAccountRef& account, ResourceType type,
                                     uint64_t count);
  uint32_t& exported_count(ResourceType type) {
    return type == ResourceType::kKvPage ? pages_exported_ : embeddings_exported_;
  }
  ChargedSlots& slots_of(ResourceType type) {
    return type == ResourceType::kKvPage ? page_slots_ : embedding_slots_;
  }
  Result<std::string> snapshot_user(QueueId queue);
  Result<Owner> owner(std::string_view call, QueueId queue);
  Result<void> admit_command(std::string_view call, const Owner& owner) const;
  sched::CommandId begin_command(QueueId id, const Owner& owner);
  Result<void> resolve(Instance& instance, const ForwardPass& pass, PendingPass& pending);
  void post_share(QueueId queue, const Owner& owner, ResourceType type, sched::ShareShape shape);
  void post(Message message);
  void forget(InstanceId instance, uint32_t count);

  const EngineLimits limits_;
  SnapshotStore* const snapshots_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;  // of the engine thread, which alone waits
  enum class Waiting { kNo, kMessage, kGather } waiting_ = Waiting::kNo;
  bool stop_ = false;
  bool wants_paused_ = false, has_paused_ = false;
  Domains domains_;
  std::vector<Message> inbox_;
  uint64_t inbox_number_ = 1;
  std::unordered_map<InstanceId, Instance> instances_;
  std::unordered_map<QueueId, Queue> queues_;
  std::unordered_map<InstanceId, uint32_t> expected_;
  ChargedSlots page_slots_;
  ChargedSlots embedding_slots_;
  std::map<ExportKey, Export> exports_;
  struct ExportUse {
    uint64_t names = 0, slots = 0;
  };
  std::unordered_map<std::string, ExportUse> export_use_;  ///< by user
  uint32_t pages_exported_ = 0, embeddings_exported_ = 0;
  uint64_t last_export_ = 0;
  uint64_t last_queue_ = 0;
  uint64_t last_command_ = 0;
  std::unordered_map<InstanceId, uint32_t> kv_pages_held_;
  EngineStats stats_;
};

}  // namespace pie::engine
