// A program waits until everything before it in its queue is done.
#include "engine/local_engine.h"

namespace pie::engine {
namespace {

class SynchronizeCommand final : public Command {
 public:
  explicit SynchronizeCommand(std::function<void(bool)> done) : done_(std::move(done)) {}

  void begin(LoopState& loop) override { loop.scheduler.push_marker(queue, id); }
  Completion complete(LoopState& loop) override {
    loop.engine.unblock(instance);  // it waits for this
    loop.engine.retire(instance);
    done_(true);
    return Completion::kDone;
  }
  void cancel(LoopState&, Cancelled) override { done_(false); }

 private:
  const std::function<void(bool)> done_;
};

}  // namespace

Result<void> LocalEngine::synchronize(QueueId queue, std::function<void(bool)> done) {
  constexpr std::string_view kCall = "synchronize";
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  PIE_TRY(admit_command(kCall, who));
  post_command(who, std::make_unique<SynchronizeCommand>(std::move(done)));
  inbox_.forget(who.id, 1);
  return {};
}

}  // namespace pie::engine
