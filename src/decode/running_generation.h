#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/quota.h"
#include "base/result.h"
#include "base/work_queue.h"
#include "decode/generation.h"
#include "engine/engine.h"

namespace pie::decode {

/// Where the next pass is made when that takes longer than the engine thread can be held: a
/// constraint that is slow. `cpu` is charged with its time; both may be null.
struct SlowWork {
  WorkQueue* queue = nullptr;
  std::string owner;
  std::shared_ptr<Quota> cpu;
};

/// A generation that an engine computes, pass after pass, without its program: what a pass gives
/// decides the next one on the engine thread. Its passes are commands of one queue, each appended
/// when the one before is computed. Thread-safe.
class RunningGeneration : public std::enable_shared_from_this<RunningGeneration> {
 public:
  /// Who is told, on the engine thread (or by start() on the caller's), without a lock: quick, and
  /// not to call this back.
  struct Listener {
    std::function<void(Piece)> piece;  ///< what came; not empty
    std::function<void(const GenerationEnd&)> end;
    /// In place of `end`: the engine ends the instance for this (ForwardCallback).
    std::function<void(const Error&)> failure;
  };

  /// The engine outlives it, or cancels its passes. In the queue for slow work nothing keeps it.
  RunningGeneration(engine::Engine& engine, QueueId queue, std::unique_ptr<Generation> generation,
                    Listener listener, SlowWork slow = {});

  /// Once. What the engine refuses of the first pass.
  Result<void> start();
  /// It ends with what it has when the pass that is computed is done, which counts no more. None is
  /// appended to the queue after this has returned.
  void cancel();
  /// See Generation::suggest.
  void suggest(uint32_t generated, std::vector<TokenId> tokens);

 private:
  /// Tells what came and submits the next pass.
  enum class Order { kSubmitFirst, kTellFirst };
  Result<void> go_on(Order order);
  void take_turn(Result<engine::ForwardOutput> output, Order order);
  Result<void> submit(std::optional<engine::ForwardPass> pass, std::optional<GenerationEnd>& end);
  void computed(Result<engine::ForwardOutput> output);

  engine::Engine& engine_;
  const QueueId queue_;
  const Listener listener_;
  const SlowWork slow_;
  std::atomic<bool> is_slow_ = false;
  std::mutex mutex_;  ///< of the generation
  const std::unique_ptr<Generation> generation_;
};

}  // namespace pie::decode
