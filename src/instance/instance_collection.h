#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "instance/managed_instance.h"

namespace pie::instance {

/// The instances that are known, by id; the one place that decides who may see one: its owner and
/// `internal`. Thread-safe; its lock is held for a few of them at a time.
class InstanceCollection {
 public:
  using InstanceRef = std::shared_ptr<ManagedInstance>;

  /// False after close().
  bool add(const InstanceRef& instance);
  void remove(const std::string& id);
  /// kNotFound, also for somebody else's.
  Result<InstanceRef> find(const std::string& user, const std::string& id) const;
  /// All that the user may see; those that come and go meanwhile may be there or not.
  std::vector<InstanceRef> of(const std::string& user) const;
  std::vector<InstanceRef> all() const;
  /// all() has whatever is ever added, from now on.
  void close();

 private:
  mutable std::mutex mutex_;
  std::map<std::string, InstanceRef> instances_;
  bool is_closed_ = false;
};

Error instance_not_found();

}  // namespace pie::instance
