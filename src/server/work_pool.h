#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pie::server {

/// Threads for work that takes its time: compiling, disks. Tasks start in the order they came.
/// Thread-safe.
class WorkPool {
 public:
  explicit WorkPool(uint32_t thread_count);
  ~WorkPool();  ///< as stop(kFinish)
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  /// False when the pool is stopped: the task is dropped.
  bool post(std::function<void()> task);
  enum class Rest { kFinish, kDrop };
  /// Finishes what runs, finishes or drops what waits, and joins the threads.
  void stop(Rest rest);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace pie::server
