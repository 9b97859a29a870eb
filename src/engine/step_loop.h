#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/embedding_store.h"
#include "engine/engine.h"
#include "engine/local_engine.h"
#include "engine/message.h"
#include "engine/disk_thread.h"
#include "engine/step.h"
#include "engine/throughput.h"
#include "exec/executor.h"
#include "kv/page_map.h"
#include "sched/scheduler.h"

namespace pie::engine {

/// The engine thread: receive -> schedule -> forward -> sample -> publish, and round again. Owns
/// everything that only this thread touches; speaks to the rest through the front.
class StepLoop {
 public:
  /// `snapshots` may be null; else `layout` is the executor's, of pages.
  StepLoop(Front& front, SnapshotStore* snapshots, std::string layout,
           std::unique_ptr<exec::Executor> executor, const EngineLimits& limits,
           const EngineConfig& config, uint64_t seed, const Clock& clock);

  /// Until the front stops; then everything that is pending is cancelled.
  void run();

 private:
  /// Why a turn without a step ended, and with it how long to wait for the next message.
  enum class Turn { kStep, kProgress, kIdle, kWaiting, kStalled, kStuck };

  void receive();
  void handle(OpenQueue& message);
  void handle(CloseQueue& message);
  void handle(ChangePriority& message);
  void handle(Submit& message);
  void handle(Synchronize& message);
  void handle(CloseInstance& message);
  void handle(Share& message);
  void handle(Release& message);
  void handle(SaveSnapshot& message);
  void handle(LoadSnapshot& message);
  void handle(PageMoved& message);
  void handle(Notify& message);

  void save(SaveSnapshot message);
  void drop_save(sched::CommandId command);
  Result<LoadedSnapshot> attach(const SnapshotHeader& header, uint32_t file, InstanceId instance);
  void close_files();

  Turn turn();
  void rest(Turn turn);
  void complete(sched::CommandId command);
  void bind(const kv::Bindings& bindings);
  /// Whether pages come free by what make_room() did.
  enum class Relief { kNone, kSoon, kNow };
  Relief make_room(bool is_waited_for);
  Result<void> compute_together(std::span<const StepPart> parts);
  std::vector<Result<void>> compute(std::span<const StepPart> parts);
  void execute(const sched::Plan& plan, uint64_t started_ns);
  void publish(const sched::Plan& plan, const std::vector<Result<void>>& outcomes);
  void evict();
  void fail(sched::CommandId command, const Error& error);
  std::unique_ptr<PendingPass> take_pass(sched::CommandId command);
  void end_pass(std::unique_ptr<PendingPass> pass, Result<ForwardOutput> result);
  void settle();
  void cancel_all();

  Front& front_;
  SnapshotStore* const snapshots_;
  const std::unique_ptr<exec::Executor> executor_;
  const EngineConfig config_;
  const Clock& clock_;
  const uint32_t swap_page_count_;
  kv::PageMap pages_;
  sched::Scheduler scheduler_;
  EmbeddingStore embeddings_;
  OutputCollector collector_;
  Throughput throughput_;
  EngineStats stats_;
  sched::Line line_ = sched::Line::kInOrder;
  uint32_t generated_ = 0;         // by the step in hand
  uint64_t no_swap_until_ns_ = 0;  // the disk was full
  uint32_t turns_ = 0;
  bool can_swap_ = false;
  std::vector<sched::PrefixHit> hits_;

  /// What scheduled commands mean to their programs.
  std::unordered_map<sched::CommandId, std::unique_ptr<PendingPass>> passes_;
  struct PendingSync {
    InstanceId instance;
    std::function<void(bool)> done;
  };
  std::unordered_map<sched::CommandId, PendingSync> syncs_;
  struct PendingShare {
    InstanceId instance;
    ResourceType type = ResourceType::kKvPage;
    std::vector<kv::SlotId> from, to;
  };
  std::unordered_map<sched::CommandId, PendingShare> shares_;
  /// What commands that are done since the last settle() named.
  std::vector<kv::SlotId> unpinned_pages_, unpinned_embeddings_;
  std::unordered_map<sched::CommandId, SaveSnapshot> saves_;
  const std::string layout_;
  std::map<uint32_t, uint32_t> files_;  // open snapshots -> pages that somebody refers to
  uint32_t last_file_ = 0;
  std::unique_ptr<PageIo>
      io_;  // last: stops before what it reports to; null without swap file and snapshots
};

}  // namespace pie::engine
