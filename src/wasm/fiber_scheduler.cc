#include "wasm/fiber_scheduler.h"

#include <ctime>

#include <algorithm>
#include <utility>

#include "base/threads.h"

namespace pie::wasm {
namespace {

uint64_t read_clock_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

FiberScheduler::FiberScheduler(uint32_t worker_count, Hooks hooks) : hooks_(std::move(hooks)) {
  start_threads(workers_, std::max(worker_count, 1U), [this] { work(); }, [this] { end(); });
}

FiberScheduler::~FiberScheduler() { stop(); }

void FiberScheduler::stop() {
  end();
  for (std::thread& worker : workers_)
    if (worker.joinable()) worker.join();
}

void FiberScheduler::end() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void FiberScheduler::wake(const std::shared_ptr<Task>& task) {
  State state = task->state_.load();
  for (;;) {
    if (state == State::kIdle) {
      if (task->state_.compare_exchange_weak(state, State::kQueued))
        return enqueue(task, Place::kWoken);
    } else if (state == State::kRunning) {
      if (task->state_.compare_exchange_weak(state, State::kNotified)) return;
    } else {
      return;
    }
  }
}

void FiberScheduler::wake_first(const std::shared_ptr<Task>& task) {
  {
    std::lock_guard lock(mutex_);
    const auto it = std::find(hogs_.begin(), hogs_.end(), task);
    if (it != hogs_.end()) {
      hogs_.erase(it);
      woken_.push_front(task);
      changed_.notify_one();
    }
  }
  wake(task);
  if (busy() && hooks_.preempt) hooks_.preempt();
}

void FiberScheduler::enqueue(std::shared_ptr<Task> task, Place place) {
  bool preempt = false;
  {
    std::lock_guard lock(mutex_);
    if (place == Place::kHogs) {
      if (hogs_.empty()) hogs_unserved_since_ns_ = read_clock_ns(CLOCK_MONOTONIC);
      hogs_.push_back(std::move(task));
    } else {
      preempt = idle_workers_ == 0 && hog_slices_ > 0;
      woken_.push_back(std::move(task));
    }
    // Under the lock: once it is let go of, the task may be done and its runtime at its end.
    changed_.notify_one();
  }
  if (preempt && hooks_.preempt) hooks_.preempt();
}

/// Whether the next task comes from the hogs. The lock is held, one of the queues is not empty.
bool FiberScheduler::pick_hog() {
  if (hogs_.empty()) return false;
  if (woken_.empty()) return true;
  if (hog_slices_ > 0) return false;
  return read_clock_ns(CLOCK_MONOTONIC) - hogs_unserved_since_ns_ > kHogPatienceNs;
}

void FiberScheduler::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_workers_;
    changed_.wait(lock, [this] { return stopping_ || !woken_.empty() || !hogs_.empty(); });
    --idle_workers_;
    if (stopping_) return;
    const bool hog = pick_hog();
    auto& queue = hog ? hogs_ : woken_;
    const std::shared_ptr<Task> task = std::move(queue.front());
    queue.pop_front();
    if (hog) ++hog_slices_;
    lock.unlock();
    run(task, hog ? Place::kHogs : Place::kWoken);
    lock.lock();
    if (!hog) continue;
    --hog_slices_;
    hogs_unserved_since_ns_ = read_clock_ns(CLOCK_MONOTONIC);
  }
}

void FiberScheduler::run(const std::shared_ptr<Task>& task, Place from) {
  if (running_.fetch_add(1) == 0 && hooks_.on_busy) hooks_.on_busy();
  task->state_.store(State::kRunning);
  const uint64_t start_ns = read_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  const Task::Slice slice = task->run_slice();
  const uint64_t used_ns = read_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
  running_.fetch_sub(1);
  if (slice == Task::Slice::kDone) {
    task->state_.store(State::kDone);
  } else if (slice == Task::Slice::kYielded) {
    task->state_.store(State::kQueued);
    // One that was pre-empted early, for the sake of another, keeps its place among the woken.
    enqueue(task, used_ns > kHogNs ? Place::kHogs : from);
  } else {
    State expected = State::kRunning;
    if (!task->state_.compare_exchange_strong(expected, State::kIdle)) {
      task->state_.store(State::kQueued);
      enqueue(task, Place::kWoken);
    }
  }
}

}  // namespace pie::wasm
