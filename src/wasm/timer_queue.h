#pragma once
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "wasm/readiness.h"

namespace pie::wasm {

/// Events that fire at a time: one thread, one ordered heap. An event that nobody holds any more
/// leaves the heap at once, so that programs can't fill it with timers they have dropped.
/// Thread-safe. Events may outlive the queue; they then never fire.
class TimerQueue {
 public:
  TimerQueue();
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// Fires `ns` nanoseconds of monotonic time from now; ready at once for 0.
  ReadinessRef after(uint64_t ns);
  /// Timers that are pending.
  size_t size() const;

 private:
  class TimerEvent;
  using Key = std::pair<uint64_t, uint64_t>;  ///< deadline in monotonic nanoseconds, serial number
  struct Heap {
    std::mutex mutex;
    std::condition_variable changed;
    bool stopping = false;
    uint64_t next_serial = 0;
    std::map<Key, std::weak_ptr<TimerEvent>> pending;
  };
  static void run(const std::shared_ptr<Heap>& heap);

  std::shared_ptr<Heap> heap_;
  std::thread thread_;
};

}  // namespace pie::wasm
