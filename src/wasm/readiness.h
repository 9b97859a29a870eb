#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace pie::wasm {

/// What programs wait on: stands behind every pollable, ours and WASI's alike.
/// Thread-safe. Level-triggered: fire() makes it ready until reset(). One over a condition of its
/// own overrides ready() and add_waiter(), and calls fire() when it may hold.
class Readiness {
 public:
  enum class Start { kNotReady, kReady };
  explicit Readiness(Start start = Start::kNotReady) : ready_(start == Start::kReady) {}
  virtual ~Readiness() = default;
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  virtual bool ready() const { return ready_.load(std::memory_order_acquire); }
  /// Makes it ready and wakes every waiter. Waiters are called without a lock held.
  void fire();
  /// Makes it not ready again (message queues do, when they run empty).
  void reset() { ready_.store(false, std::memory_order_release); }

  /// Calls `wake` at the next fire(); at once, if ready. Returns a token for remove_waiter.
  virtual uint64_t add_waiter(std::function<void()> wake);
  void remove_waiter(uint64_t token);

 private:
  std::atomic<bool> ready_;
  std::mutex mutex_;
  uint64_t next_token_ = 1;
  std::map<uint64_t, std::function<void()>> waiters_;  ///< by token, so the oldest are woken first
};
using ReadinessRef = std::shared_ptr<Readiness>;

}  // namespace pie::wasm
