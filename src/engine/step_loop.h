#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine_limits.h"
#include "engine/loop_inbox.h"
#include "engine/loop_state.h"
#include "engine/page_mover.h"
#include "engine/snapshot/writer.h"
#include "engine/step.h"
#include "engine/step_budget.h"
#include "exec/executor.h"
#include "sched/scheduler.h"

namespace pie::engine {

/// The engine thread: receive -> schedule -> forward -> sample -> publish, and round again. Speaks
/// to the rest through the engine and its inbox.
class StepLoop {
 public:
  /// `snapshots` may be null; else `layout` is the executor's, of pages.
  StepLoop(LocalEngine& engine, SnapshotStore* snapshots, std::string layout,
           std::unique_ptr<exec::Executor> executor, const EngineLimits& limits,
           const EngineConfig& config, uint64_t seed, const Clock& clock);
  ~StepLoop();

  /// Until the inbox stops; then everything that is pending is cancelled.
  void run();

  /// There when snapshots are; from any thread.
  DiskThread& disk() { return *mover_.disk(); }

 private:
  /// How a turn ended, and with it how long to wait for the next message.
  enum class TurnEnd { kStep, kProgress, kIdle, kWaiting, kStalled, kStuck };

  void receive();
  TurnEnd turn();
  void rest(TurnEnd end);
  void step(const sched::Plan& plan, uint64_t started_ns);
  void publish(const sched::Plan& plan, const std::vector<Result<void>>& outcomes);
  void evict();
  void cancel_all();

  LocalEngine& engine_;
  LoopInbox& inbox_;
  const EngineConfig config_;
  const Clock& clock_;
  const std::unique_ptr<exec::Executor> executor_;
  PageMover mover_;
  std::unique_ptr<SnapshotWriter> writer_;  // null without snapshots
  LoopState state_;
  StepComputer computer_;
  StepBudget budget_;
  sched::Overtaking overtaking_ = sched::Overtaking::kNo;
};

}  // namespace pie::engine
