#include "wasm/timer_queue.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace pie::wasm {
namespace {

using SteadyClock = std::chrono::steady_clock;

uint64_t now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now().time_since_epoch())
          .count());
}

/// The longest time that one sleep is given; a later deadline is looked at again then.
constexpr uint64_t kSleepNsMax = 3'600'000'000'000;

}  // namespace

class TimerQueue::TimerEvent final : public Readiness {
 public:
  TimerEvent(std::shared_ptr<Heap> heap, Key key) : heap_(std::move(heap)), key_(key) {}
  ~TimerEvent() override {
    std::lock_guard lock(heap_->mutex);
    heap_->pending.erase(key_);
  }

 private:
  const std::shared_ptr<Heap> heap_;
  const Key key_;
};

TimerQueue::TimerQueue() : heap_(std::make_shared<Heap>()), thread_(run, heap_) {}

TimerQueue::~TimerQueue() {
  {
    std::lock_guard lock(heap_->mutex);
    heap_->stopping = true;
  }
  heap_->changed.notify_all();
  thread_.join();
}

ReadinessRef TimerQueue::after(uint64_t ns) {
  if (ns == 0) return std::make_shared<Readiness>(Readiness::Start::kReady);
  const uint64_t now = now_ns();
  const uint64_t deadline = now + std::min(ns, std::numeric_limits<uint64_t>::max() - now);
  std::shared_ptr<TimerEvent> event;
  {
    std::lock_guard lock(heap_->mutex);
    const Key key{deadline, heap_->next_serial++};
    event = std::make_shared<TimerEvent>(heap_, key);
    heap_->pending.emplace(key, event);
    if (heap_->pending.begin()->first == key) heap_->changed.notify_one();
  }
  return event;
}

size_t TimerQueue::size() const {
  std::lock_guard lock(heap_->mutex);
  return heap_->pending.size();
}

void TimerQueue::run(const std::shared_ptr<Heap>& heap) {
  std::unique_lock lock(heap->mutex);
  while (!heap->stopping) {
    if (heap->pending.empty()) {
      heap->changed.wait(lock);
      continue;
    }
    const auto first = heap->pending.begin();
    const uint64_t now = now_ns();
    if (first->first.first > now) {
      const uint64_t sleep_ns = std::min(first->first.first - now, kSleepNsMax);
      heap->changed.wait_for(lock, std::chrono::nanoseconds(sleep_ns));
      continue;
    }
    std::shared_ptr<TimerEvent> due = first->second.lock();
    heap->pending.erase(first);
    lock.unlock();
    if (due) due->fire();
    due.reset();  // may be the last reference: its destructor takes the lock
    lock.lock();
  }
}

}  // namespace pie::wasm
