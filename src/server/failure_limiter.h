#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace pie::server {

/// How long failed attempts to sign in wait for their answer (protocol.md, section 5): a random 1
/// to 3 s, and those of one network address one after the other, so that trying many connections at
/// once wins nothing. Nobody is locked out: a right answer is never delayed. Thread-safe; the
/// memory is bounded whatever the number of addresses.
class FailureLimiter {
 public:
  static constexpr uint64_t kSpacingMs = 1'000;    ///< between the answers to one address
  static constexpr uint64_t kDelayMsMax = 30'000;  ///< of one answer
  static constexpr size_t kAddressesMax = 4'096;   ///< above it, newcomers share one queue

  /// Milliseconds until the answer to a failure of `address` may go out. `jitter_ms` is the random
  /// part, `now_ms` monotonic.
  uint64_t delay_ms(const std::string& address, uint64_t now_ms, uint64_t jitter_ms);
  size_t address_count() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> next_ms_;  ///< when the address's next answer may go out
};

}  // namespace pie::server
