#include "wasm/ticker.h"

#include <chrono>
#include <utility>

namespace pie::wasm {

Ticker::Ticker(uint32_t period_ms, std::function<void()> tick, std::function<bool()> has_work)
    : period_ms_(period_ms),
      tick_(std::move(tick)),
      has_work_(std::move(has_work)),
      thread_([this] { run(); }) {}

Ticker::~Ticker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Ticker::wake() {
  if (!asleep_.load()) return;
  std::lock_guard lock(mutex_);
  asleep_.store(false);
  changed_.notify_all();
}

void Ticker::run() {
  std::unique_lock lock(mutex_);
  uint32_t idle_ticks = 0;
  while (!stopping_) {
    if (idle_ticks > kIdleTicksMax) {
      // Work that began before `asleep_` was seen by its wake() is seen by has_work().
      asleep_.store(true);
      if (!has_work_()) changed_.wait(lock, [this] { return stopping_ || !asleep_.load(); });
      asleep_.store(false);
      idle_ticks = 0;
    }
    changed_.wait_for(lock, std::chrono::milliseconds(period_ms_), [this] { return stopping_; });
    idle_ticks = has_work_() ? 0 : idle_ticks + 1;
    if (idle_ticks == 0) tick_();
  }
}

}  // namespace pie::wasm
