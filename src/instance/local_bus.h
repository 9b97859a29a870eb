#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "ports/bus.h"

namespace pie::instance {

/// Topics within one process.
class LocalBus final : public Bus {
 public:
  /// Of one topic: a broadcast reaches all of them within one call of a program.
  static constexpr size_t kSubscribersMax = 8'192;

  void broadcast(const std::string& user, const std::string& topic,
                 const Message& message) override;
  Result<uint64_t> subscribe(const std::string& user, const std::string& topic,
                             Deliver deliver) override;
  void unsubscribe(uint64_t token) override;

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
