#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace pie::host {

/// One thread for work on a program's behalf that takes longer than a worker may be held: nothing
/// can interrupt a host function, but a program that waits for this work can be terminated.
/// Thread-safe. At most one job per live instance waits here, because its program waits too.
class Background {
 public:
  Background();
  /// Finishes the job in hand and forgets the others.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Runs `job` on the thread, after those before it. It must not throw.
  void run(std::function<void()> job);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stop_ = false;
  std::thread thread_;  ///< last: starts when the rest is there
};

}  // namespace pie::host
