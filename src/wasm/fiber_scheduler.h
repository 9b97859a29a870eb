#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace pie::wasm {

/// Work that runs in slices on the scheduler's workers, one worker at a time, and sleeps between
/// them until somebody wakes it.
class Task {
 public:
  enum class Slice {
    kBlocked,  ///< sleeps until FiberScheduler::wake
    kYielded,  ///< was pre-empted, wants to go on
    kDone,     ///< never runs again
  };
  virtual ~Task() = default;
  /// Runs until it blocks, is pre-empted, or is done. A wake that comes meanwhile is not lost.
  virtual Slice run_slice() = 0;

 private:
  friend class FiberScheduler;
  /// kNotified: woken while it was running; it is queued again when its slice ends.
  enum class State { kIdle, kQueued, kRunning, kNotified, kDone };
  std::atomic<State> state_{State::kIdle};
};

/// A few worker threads and two queues: tasks that were woken, and hogs, which used up a slice.
/// Woken tasks go first, so a program that waits for tokens is not slowed by one that computes;
/// hogs share what is left and are never starved (after
/// kHogPatienceNs without a slice one goes first). Thread-safe. It knows nothing of WebAssembly.
class FiberScheduler {
 public:
  /// A task that used more CPU time than this before it was pre-empted is a hog.
  static constexpr uint64_t kHogNs = 1'000'000;
  static constexpr uint64_t kHogPatienceNs = 100'000'000;

  struct Hooks {
    /// Asks all running tasks to yield soon. Called without a lock held; any thread.
    std::function<void()> preempt;
    /// A worker goes from idle to running something; it is quick.
    std::function<void()> on_busy;
  };
  FiberScheduler(uint32_t worker_count, Hooks hooks);
  /// stop()
  ~FiberScheduler();
  FiberScheduler(const FiberScheduler&) = delete;
  FiberScheduler& operator=(const FiberScheduler&) = delete;

  /// Makes the task run (again). Does nothing for one that is queued or done, or after stop().
  void wake(const std::shared_ptr<Task>& task);
  /// wake() that also moves a hog in front of everything else: it is to be ended.
  void wake_first(const std::shared_ptr<Task>& task);
  /// Ends the workers after the slices they are in; what is queued stays where it is.
  void stop();
  /// Whether a worker runs a task now.
  bool busy() const { return running_.load(std::memory_order_relaxed) > 0; }

 private:
  using State = Task::State;
  enum class Place { kWoken, kHogs };
  void enqueue(std::shared_ptr<Task> task, Place place);
  void work();
  /// stop() without the wait.
  void end();
  bool pick_hog();
  void run(const std::shared_ptr<Task>& task, Place from);

  const Hooks hooks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Task>> woken_, hogs_;
  uint32_t idle_workers_ = 0;
  uint32_t hog_slices_ = 0;              ///< workers that run a hog
  uint64_t hogs_unserved_since_ns_ = 0;  ///< the end of the last hog's slice
  bool stopping_ = false;
  std::atomic<uint32_t> running_{0};
  std::vector<std::thread> workers_;
};

}  // namespace pie::wasm
