#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace pie::client {

struct ReconnectOptions {
  uint32_t attempts = 10;  ///< failed ones in a row until it gives up
  /// The waits between them are about 0.1 s, 0.2 s, ... up to this.
  std::chrono::milliseconds delay_max{5'000};
};

/// The rules of a client that comes back after its connection was lost, without the connection and
/// the clock: whoever drives them waits as long as they say, connects, attaches, and acts again.
/// Only kUnavailable is a loss; every other error is the caller's at once. Not thread-safe.

/// The attempts of one reconnection, in a row.
class ConnectAttempts {
 public:
  explicit ConnectAttempts(ReconnectOptions options) : options_(options) {}
  /// One more has failed: how long to wait before the next; `error`, when it was the last.
  Result<std::chrono::milliseconds> failed(Error error);

 private:
  const ReconnectOptions options_;
  uint32_t count_ = 0;
};

/// The losses of the connection during one call, which may be what ends it.
class CallLosses {
 public:
  enum class Kind {
    kActs,
    kWaits,  ///< does nothing else: what it waited for a minute is not what ends the connection
  };
  CallLosses(ReconnectOptions options, Kind kind) : options_(options), kind_(kind) {}
  /// One more, of a try that took so long: how long to wait before connecting again; why the call
  /// is given up, when there were too many.
  Result<std::chrono::milliseconds> lost(const Error& error, std::chrono::milliseconds tried_for);

 private:
  const ReconnectOptions options_;
  const Kind kind_;
  uint32_t count_ = 0;
};

/// What an instance is that cannot be attached to again (kNotFound).
Error instance_gone(const std::string& instance_id);

}  // namespace pie::client
