#pragma once
#include <cstdint>
#include <string_view>

#include "host/launch_spec.h"

namespace pie::instance {

enum class Status { kAttached, kDetached, kFinished };

/// The wire's word: "Attached", "Detached", "Finished".
std::string_view to_string(Status status);

using host::LaunchMode;

/// Times of an instance's life.
struct LifeTimes {
  uint64_t grace_ns = 600ULL * 1'000'000'000;                ///< launched attached, client lost
  uint64_t finished_kept_ns = 24ULL * 3600 * 1'000'000'000;  ///< finished and not fetched
};

/// The states of one instance (protocol.md, section 7), without clock, locks or I/O.
///   launch -> Attached or Detached -> Finished -> gone
class LifeCycle {
 public:
  /// What is to be done with the instance now.
  enum class Due { kNothing, kAbort, kRemove };

  LifeCycle(LaunchMode mode, const LifeTimes& times) : mode_(mode), times_(times) {
    has_client_ = mode == LaunchMode::kAttached;
  }

  Status status() const;
  bool has_client() const { return has_client_; }
  bool finished() const { return finished_; }

  void client_attached() { has_client_ = true; }
  void client_lost(uint64_t now_ns);
  void ended(uint64_t now_ns);
  /// kAbort: it runs, was launched attached and its client is gone for the grace time. kRemove: it
  /// has ended and nobody came for what it said.
  Due due(uint64_t now_ns) const;

 private:
  LaunchMode mode_;
  LifeTimes times_;
  bool has_client_ = false;
  bool finished_ = false;
  uint64_t alone_since_ns_ = 0;
};

}  // namespace pie::instance
