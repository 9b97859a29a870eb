#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace pie::net {

/// Bounds the bytes of messages that have begun to come and are not whole: of each user, and of all
/// together. Who would exceed a bound waits, that is, does not read on. One message of each bound
/// may always grow, so that those who hold a part each cannot wait for each other for ever: a bound
/// is exceeded by one message at most. Thread-safe; outlives its claims.
class ReceiveBudget {
 public:
  /// 0 = unlimited.
  ReceiveBudget(uint64_t user_bytes_max, uint64_t total_bytes_max)
      : user_bytes_max_(user_bytes_max), total_(total_bytes_max) {}

  /// The message that one connection receives.
  class Claim;
  /// `user` "": the total alone bounds it. `wake` is called, from any thread and under a lock, when
  /// a claim that waits may ask again; it must only pass that on.
  std::unique_ptr<Claim> claim(const std::string& user, std::function<void()> wake);
  uint64_t held_bytes() const;

 private:
  /// One bound, and who waits for it.
  struct Pool {
    explicit Pool(uint64_t max) : bytes_max(max) {}
    bool admits(const Claim& claim, uint64_t more) const;
    void take(Claim& claim, uint64_t more);
    void give_back(const Claim& claim, uint64_t bytes);
    void wake_next();

    const uint64_t bytes_max;
    uint64_t held = 0;
    const Claim* exceeding = nullptr;  ///< the one that may
    std::list<Claim*> line;
    uint32_t claims = 0;
  };

  const uint64_t user_bytes_max_;
  mutable std::mutex mutex_;
  Pool total_;
  std::map<std::string, Pool> users_;
};

class ReceiveBudget::Claim {
 public:
  Claim(ReceiveBudget& budget, std::string user, Pool* of_user, std::function<void()> wake)
      : budget_(budget), user_(std::move(user)), of_user_(of_user), wake_(std::move(wake)) {}
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  /// Whether `more` bytes may be held now; false: `wake` comes.
  bool grow(uint64_t more);
  /// The message is whole: nothing is held.
  void release();

 private:
  friend struct ReceiveBudget::Pool;
  void leave_line();
  void release_locked();

  ReceiveBudget& budget_;
  const std::string user_;
  Pool* const of_user_;  ///< null: none
  const std::function<void()> wake_;
  Pool* waits_for_ = nullptr;
  std::list<Claim*>::iterator place_;
  uint64_t held_ = 0;
};

}  // namespace pie::net
