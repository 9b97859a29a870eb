#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace pie {

/// Topics, per user (inferlet-host.md, section 4). Thread-safe; nothing here blocks, except
/// unsubscribe() for a delivery that runs.
class Bus {
 public:
  /// One for all who get it.
  using Message = std::shared_ptr<const std::string>;
  using Deliver = std::function<void(const Message& message)>;  ///< quick; any thread

  virtual ~Bus() = default;
  virtual void broadcast(const std::string& user, const std::string& topic,
                         const Message& message) = 0;
  /// Every later broadcast of the user's topic is delivered until unsubscribe(token).
  /// kResourceExhausted when the topic has as many subscribers as one broadcast can reach.
  virtual Result<uint64_t> subscribe(const std::string& user, const std::string& topic,
                                     Deliver deliver) = 0;
  /// When it returns, `deliver` is not running and will not be called again; so `deliver` must not
  /// call it for its own token.
  virtual void unsubscribe(uint64_t token) = 0;
};

}  // namespace pie
