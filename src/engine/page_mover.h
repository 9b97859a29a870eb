#pragma once
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "engine/disk_thread.h"
#include "engine/engine.h"
#include "exec/executor.h"
#include "kv/page_map.h"
#include "sched/command.h"

namespace pie::engine {

class LocalEngine;
struct LoopState;

/// Has pages made, brought in and moved out as the scheduler says; owns the disk thread. Thread:
/// engine.
class PageMover {
 public:
  enum class KeepsSnapshots { kNo, kYes };
  /// Opens the swap file that the configuration wants. The disk thread is there also without one
  /// when snapshots are kept.
  PageMover(LocalEngine& engine, exec::Executor& executor, const EngineConfig& config,
            KeepsSnapshots keeps_snapshots, const Clock& clock);

  /// What passes need before their step.
  void bind(const kv::Bindings& bindings);
  /// Whether pages come free by what make_room() did.
  enum class Freed { kNothing, kSoon, kNow };
  /// Begins to move cold pages out of the pool, if somebody lacks pages or soon will.
  Freed make_room(LoopState& state, const sched::Plan& plan);
  /// Ends the disk thread, which refers to the loop's state; what waits there is forgotten.
  void stop() { disk_.reset(); }

  uint32_t swap_page_count() const { return swap_page_count_; }
  DiskThread* disk() const { return disk_.get(); }  ///< null without swap file and snapshots

 private:
  void moved(LoopState& state, const PageMoved& page);

  LocalEngine& engine_;
  exec::Executor& executor_;
  const Clock& clock_;
  const uint32_t swap_page_count_;
  std::unique_ptr<DiskThread> disk_;
  uint64_t no_swap_until_ns_ = 0;  // the disk was full
  uint32_t turns_ = 0;
};

}  // namespace pie::engine
