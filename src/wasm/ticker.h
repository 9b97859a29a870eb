#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace pie::wasm {

/// Calls `tick` every `period_ms` while there is work, on a thread of its own; sleeps while there
/// is none. Thread-safe.
class Ticker {
 public:
  Ticker(uint32_t period_ms, std::function<void()> tick, std::function<bool()> has_work);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  /// There is work again. Cheap while the ticker is awake.
  void wake();

 private:
  /// Ticks without work before it goes to sleep.
  static constexpr uint32_t kIdleTicksMax = 20;
  void run();

  const uint32_t period_ms_;
  const std::function<void()> tick_;
  const std::function<bool()> has_work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> asleep_{false};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pie::wasm
