#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/adapter_table.h"
#include "engine/charged_slots.h"
#include "engine/engine.h"
#include "engine/engine_limits.h"
#include "engine/export_table.h"
#include "engine/loop_inbox.h"
#include "engine/loop_state.h"
#include "engine/prefix_domains.h"
#include "kv/pointer_table.h"

namespace pie::engine {

class StepLoop;

/// The engine of this process. Here is its callers' side: instances, their queues, pointers and
/// limits, the check of every command. What passes goes through the inbox to the step loop, which
/// this starts and stops. Contracts: engine.h. Thread-safe; one lock, held for the time of a
/// look-up, never while a file is touched.
class LocalEngine final : public Engine {
 public:
  /// `model` may be null when nobody calls model(). Lists the snapshots that there are.
  LocalEngine(std::shared_ptr<const model::Model> model, const EngineLimits& limits,
              const EngineConfig& config);
  ~LocalEngine() override;
  /// An engine whose model's sizes come from the caller. See Engine::create.
  static Result<std::unique_ptr<LocalEngine>> open(std::shared_ptr<const model::Model> model,
                                                   uint32_t vocab_size, uint32_t embedding_size,
                                                   std::unique_ptr<exec::Executor> executor,
                                                   const EngineConfig& config, const Clock& clock);

  const model::Model& model() const override;
  uint32_t page_size() const override { return limits_.page_size; }
  void open_instance(InstanceId instance, const InstanceOptions& options) override;
  void close_instance(InstanceId instance, std::function<void()> closed) override;
  void instance_blocked(InstanceId instance) override;
  QueueId create_queue(InstanceId instance) override;
  void close_queue(QueueId queue) override;
  void set_priority(QueueId queue, Priority priority) override;
  Result<std::vector<uint32_t>> allocate(QueueId queue, uint32_t resource_type,
                                         uint32_t count) override;
  Result<void> deallocate(QueueId queue, uint32_t resource_type,
                          std::span<const uint32_t> pointers) override;
  Result<void> export_resources(QueueId queue, uint32_t resource_type,
                                std::span<const uint32_t> pointers,
                                const std::string& name) override;
  Result<std::vector<uint32_t>> import_resources(QueueId queue, uint32_t resource_type,
                                                 const std::string& name) override;
  Result<void> release_exported(QueueId queue, uint32_t resource_type,
                                const std::string& name) override;
  Result<std::vector<ExportedName>> exported(QueueId queue, uint32_t resource_type) override;
  Result<void> save_snapshot(QueueId queue, SnapshotRequest request, SnapshotSaved done) override;
  Result<void> load_snapshot(QueueId queue, const std::string& name, SnapshotLoaded done) override;
  Result<std::vector<SnapshotInfo>> list_snapshots(QueueId queue) override;
  Result<void> remove_snapshot(QueueId queue, const std::string& name) override;
  Result<model::AdapterRef> adapter(std::string_view call, QueueId queue,
                                    uint32_t pointer) override;
  Result<void> put_adapter(std::string_view call, QueueId queue, uint32_t pointer,
                           model::AdapterRef adapter) override;
  Result<void> submit(QueueId queue, ForwardPass pass, ForwardCallback done) override;
  Result<void> synchronize(QueueId queue, std::function<void(bool)> done) override;
  uint32_t kv_pages_used(InstanceId instance) const override;
  PrefixSavings prefix_savings(InstanceId instance) const override;
  EngineStats stats() const override;

  // For the step loop; from the engine thread.
  LoopInbox& inbox() { return inbox_; }
  void apply(const LoopReport& report);
  /// The instances, once per result, are about to get results.
  void expect(std::span<const InstanceId> instances);
  /// A command of the instance is done.
  void retire(InstanceId instance);
  /// The instance's program waits no longer for something that is not this engine.
  void unblock(InstanceId instance);
  /// The instances that wait for something that is not this engine. From now on (or no longer), one
  /// more of them is as good as a message.
  std::set<InstanceId> paused(LoopInbox::PausedAlert alert);
  /// Pointers of an instance to fresh slots, of which the step loop knows.
  struct Mapped {
    std::vector<uint32_t> pointers;
    std::vector<kv::SlotId> slots;
  };
  Result<Mapped> map_snapshot(InstanceId instance, uint64_t count);
  /// Has the disk thread delete the files of snapshots that nobody finds any more. From any thread.
  void sweep_snapshots();

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
    AdapterTable adapters;

    bool is_paused() const { return blocked && pending_commands == 0; }
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
  };
  /// Who calls, by the queue.
  struct Caller {
    InstanceId id;
    Instance* instance;
    QueueId queue_id;
    Queue* queue;
  };
  Result<Caller> caller(std::string_view call, QueueId queue);

  // Commands (local_engine.cc).
  Result<void> admit_command(std::string_view call, const Caller& caller) const;
  void post_command(const Caller& caller, std::unique_ptr<Command> command);

  // Slots (commands/resources.cc).
  enum class SlotHolder { kInstance, kName };
  Result<void> admit_slots(std::string_view call, const Instance& instance, ResourceType type,
                           uint64_t count, SlotHolder holder);
  Result<std::vector<kv::SlotId>> find_slots(std::string_view call, Instance& instance,
                                             ResourceType type, std::span<const uint32_t> pointers);
  Mapped map_slots(Instance& instance, ResourceType type, uint64_t count);
  std::vector<kv::SlotId> take_slots(const SlotAccountRef& account, ResourceType type,
                                     uint64_t count);
  /// Slots of no instance: what a name or a file stands for, in the quota of the instance's user.
  std::vector<kv::SlotId> take_copies(const Instance& instance, ResourceType type, uint64_t count);
  void post_release(ResourceType type, std::vector<kv::SlotId> slots);
  ChargedSlots& slots_of(ResourceType type) {
    return type == ResourceType::kKvPage ? page_slots_ : embedding_slots_;
  }

  void post_share(const Caller& caller, ResourceType type, sched::ShareShape shape);
  // Snapshots (snapshot/names.cc).
  Result<void> check_snapshots_served() const;
  Result<std::string> snapshot_user(QueueId queue);

  const std::shared_ptr<const model::Model> model_;
  const EngineLimits limits_;
  LoopInbox inbox_;
  mutable std::mutex mutex_;
  PrefixDomains domains_;
  std::unordered_map<InstanceId, Instance> instances_;
  std::unordered_map<QueueId, Queue> queues_;
  ChargedSlots page_slots_;
  ChargedSlots embedding_slots_;
  ExportTable exports_;
  uint64_t last_queue_ = 0;
  uint64_t last_command_ = 0;
  std::unordered_map<InstanceId, uint32_t> kv_pages_held_;
  EngineStats stats_;

  const std::unique_ptr<SnapshotStore> snapshots_;  // null: none are kept
  std::unique_ptr<StepLoop> loop_;
  std::thread thread_;
};

}  // namespace pie::engine
