#pragma once
#include <functional>
#include <memory>
#include <string>

namespace pie::instance {

class ManagedInstance;

/// Who hears an instance: the connection that it is attached to. Thread-safe; nothing here blocks.
class InstanceListener {
 public:
  enum class Peer { kAnswers, kSilent };

  virtual ~InstanceListener() = default;
  /// The instance's log has something new.
  virtual void events_ready(const std::shared_ptr<ManagedInstance>& instance) = 0;
  /// Finds out whether the peer still answers; `done` comes once, from any thread.
  virtual void probe(std::function<void(Peer)> done) = 0;
  /// Somebody else has taken the instance over: forget it.
  virtual void taken_over(const std::string& instance_id) = 0;
};

}  // namespace pie::instance
