#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/result.h"

namespace pie::instance {

/// Topics within one process, per user. Thread-safe; the semantics are host::BusPort's.
class Bus {
 public:
  using Message = std::shared_ptr<const std::string>;
  using Deliver = std::function<void(const Message& message)>;
  /// Of one topic: a broadcast reaches all of them within one call of a program.
  static constexpr size_t kSubscribersMax = 8'192;

  void broadcast(const std::string& user, const std::string& topic, const Message& message);
  /// kResourceExhausted when the topic has kSubscribersMax already.
  Result<uint64_t> subscribe(const std::string& user, const std::string& topic, Deliver deliver);
  /// Waits for a delivery that runs; so `deliver` must not call it for its own token.
  void unsubscribe(uint64_t token);

 private:
  struct Subscription {
    std::mutex mutex;
    bool live = true;
    Deliver deliver;
  };
  using Topic = std::pair<std::string, std::string>;  ///< user, topic

  std::mutex mutex_;
  uint64_t next_token_ = 1;
  std::map<Topic, std::map<uint64_t, std::shared_ptr<Subscription>>> topics_;
  std::unordered_map<uint64_t, Topic> by_token_;
};

}  // namespace pie::instance
