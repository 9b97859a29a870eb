#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "decode/generation.h"
#include "engine/engine.h"

namespace pie::decode {

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

  /// The engine outlives it, or cancels its passes.
  RunningGeneration(engine::Engine& engine, QueueId queue, std::unique_ptr<Generation> generation,
                    Listener listener);

  /// Once. What the engine refuses of the first pass.
  Result<void> start();
  /// It ends with what it has when the pass that is computed is done, which counts no more.
  void cancel();
  /// See Generation::suggest.
  void suggest(uint32_t generated, std::vector<TokenId> tokens);

 private:
  Result<void> go_on();
  void computed(Result<engine::ForwardOutput> output);

  engine::Engine& engine_;
  const QueueId queue_;
  const Listener listener_;
  std::mutex mutex_;  ///< of the generation
  const std::unique_ptr<Generation> generation_;
};

}  // namespace pie::decode
