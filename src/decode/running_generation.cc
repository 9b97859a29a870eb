#include "decode/running_generation.h"

#include <optional>
#include <utility>

namespace pie::decode {

RunningGeneration::RunningGeneration(engine::Engine& engine, QueueId queue,
                                     std::unique_ptr<Generation> generation, Listener listener)
    : engine_(engine),
      queue_(queue),
      listener_(std::move(listener)),
      generation_(std::move(generation)) {}

Result<void> RunningGeneration::start() { return go_on(); }

/// The next pass goes out before anybody hears of the last one's tokens.
Result<void> RunningGeneration::go_on() {
  std::optional<engine::ForwardPass> pass;
  Piece piece;
  std::optional<GenerationEnd> end;
  {
    const std::lock_guard lock(mutex_);
    pass = generation_->next_pass();
    piece = generation_->take_piece();
    end = generation_->end();
  }
  if (pass) {
    PIE_TRY(engine_.submit(queue_, std::move(*pass),
                           [self = shared_from_this()](Result<engine::ForwardOutput> output) {
                             self->computed(std::move(output));
                           }));
  }
  if (!piece.tokens.empty() || !piece.text.empty()) listener_.piece(std::move(piece));
  if (end) listener_.end(*end);
  return {};
}

void RunningGeneration::computed(Result<engine::ForwardOutput> output) {
  if (!output.ok()) return listener_.failure(output.error());
  {
    const std::lock_guard lock(mutex_);
    generation_->take(std::move(output).value());
  }
  if (const auto gone = go_on(); !gone.ok()) listener_.failure(gone.error());
}

void RunningGeneration::cancel() {
  const std::lock_guard lock(mutex_);
  generation_->stop(EndReason::kCancelled);
}

void RunningGeneration::suggest(uint32_t generated, std::vector<TokenId> tokens) {
  const std::lock_guard lock(mutex_);
  generation_->suggest(generated, std::move(tokens));
}

}  // namespace pie::decode
