#include "decode/running_generation.h"

#include <optional>
#include <utility>

#include "base/clock.h"

namespace pie::decode {
namespace {

/// What a turn may take of the engine thread; the next one after a longer one is made elsewhere.
constexpr uint64_t kHeldMaxNs = 500'000;

}  // namespace

RunningGeneration::RunningGeneration(engine::Engine& engine, QueueId queue,
                                     std::unique_ptr<Generation> generation, Listener listener,
                                     SlowWork slow)
    : engine_(engine),
      queue_(queue),
      listener_(std::move(listener)),
      slow_(std::move(slow)),
      generation_(std::move(generation)) {}

Result<void> RunningGeneration::start() { return go_on(Order::kSubmitFirst); }

/// On the engine thread the next pass goes out before anybody hears of the last one's tokens;
/// elsewhere after that, for the engine may be done with it before.
Result<void> RunningGeneration::go_on(Order order) {
  std::optional<engine::ForwardPass> pass;
  Piece piece;
  std::optional<GenerationEnd> end;
  {
    const std::lock_guard lock(mutex_);
    pass = generation_->next_pass();
    piece = generation_->take_piece();
    end = generation_->end();
  }
  const auto tell = [&] {
    if (!piece.tokens.empty() || !piece.text.empty()) listener_.piece(std::move(piece));
  };
  if (order == Order::kTellFirst) tell();
  PIE_TRY(submit(std::move(pass), end));
  if (order == Order::kSubmitFirst) tell();
  if (end) listener_.end(*end);
  return {};
}

/// Not what was cancelled since it was made; that has `end`.
Result<void> RunningGeneration::submit(std::optional<engine::ForwardPass> pass,
                                       std::optional<GenerationEnd>& end) {
  if (!pass) return {};
  const std::lock_guard lock(mutex_);
  end = generation_->end();
  if (end) return {};
  return engine_.submit(queue_, std::move(*pass),
                        [self = shared_from_this()](Result<engine::ForwardOutput> output) {
                          self->computed(std::move(output));
                        });
}

void RunningGeneration::computed(Result<engine::ForwardOutput> output) {
  if (!is_slow_ || slow_.queue == nullptr) return take_turn(std::move(output), Order::kSubmitFirst);
  auto shared = std::make_shared<Result<engine::ForwardOutput>>(std::move(output));
  const auto posted = slow_.queue->post_once(slow_.owner, [weak = weak_from_this(), shared] {
    if (const auto self = weak.lock()) self->take_turn(std::move(*shared), Order::kTellFirst);
  });
  if (!posted.ok()) listener_.failure(posted.error());
}

void RunningGeneration::take_turn(Result<engine::ForwardOutput> output, Order order) {
  if (!output.ok()) return listener_.failure(output.error());
  const uint64_t started_ns = system_clock().now_ns();
  {
    const std::lock_guard lock(mutex_);
    generation_->take(std::move(output).value());
  }
  const auto gone = go_on(order);
  const uint64_t took_ns = system_clock().now_ns() - started_ns;
  is_slow_ = took_ns > kHeldMaxNs;
  if (slow_.cpu) slow_.cpu->add(took_ns);
  if (!gone.ok()) listener_.failure(gone.error());
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
