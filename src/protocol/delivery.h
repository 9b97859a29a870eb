#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pie::protocol {

/// The client has every event of the instance up to `seq`.
struct Delivered {
  std::string instance_id;
  uint64_t seq = 0;
};

/// Finds out which events a client has got: an event counts as delivered when the pong of a ping
/// that was sent after it has come back (protocol.md, section 7). One ping is under way at a time,
/// and they keep a distance, so that a stream of tokens does not double the number of frames; ends
/// of instances do not wait for either. Pure; times are monotonic nanoseconds.
class Delivery {
 public:
  struct Pacing {
    uint64_t distance_ns = 100'000'000;  ///< between pings
    uint64_t bytes_max = 4ULL << 20;     ///< so much sent since the last ping: no waiting
  };
  Delivery() = default;
  explicit Delivery(const Pacing& pacing) : pacing_(pacing) {}

  /// An event went out.
  void sent(const std::string& instance_id, uint64_t seq, uint64_t bytes);
  /// The next ping need not wait.
  void expedite() { expedited_ = true; }
  /// The ping to send now, if it is time.
  std::optional<std::string> ping(uint64_t now_ns);
  /// When ping() is to be asked again though nothing happened.
  std::optional<uint64_t> wake_at_ns() const;
  /// What a pong proves. Pongs that are not ours prove nothing.
  std::vector<Delivered> pong(std::string_view payload);
  void forget(const std::string& instance_id);

 private:
  using Sent = std::map<std::string, uint64_t>;  ///< instance id to sequence number
  struct Asked {
    uint64_t ping = 0;
    Sent sent;
  };

  Pacing pacing_;
  Sent sent_;                ///< since the last ping
  std::deque<Asked> asked_;  ///< the pings under way, oldest first
  uint64_t bytes_since_ = 0;
  uint64_t ping_count_ = 0;
  uint64_t pinged_ns_ = 0;
  bool expedited_ = false;
};

}  // namespace pie::protocol
