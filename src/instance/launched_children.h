#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/ledger.h"
#include "base/limits.h"
#include "instance/descent.h"
#include "instance/program_source.h"
#include "ports/children.h"

namespace pie::instance {

class InstanceManager;
class ManagedInstance;

/// The children of one instance: how many there may be, and that none outlives it. Thread-safe.
class LaunchedChildren final : public Children,
                               public std::enable_shared_from_this<LaunchedChildren> {
 public:
  /// Who launches them.
  struct Parent {
    std::string user;
    Descent self;
    InstanceLimits limits;
  };
  /// `manager` outlives the instance.
  LaunchedChildren(InstanceManager& manager, Parent parent)
      : manager_(manager), parent_(std::move(parent)) {}

  // Children
  void launch(ChildRequest request, Done done) override;
  void close(std::function<void()> done) override;

 private:
  using InstanceRef = std::shared_ptr<ManagedInstance>;

  /// One of children_max, or why not.
  Result<void> enter();
  void leave();
  /// Expires with close().
  std::weak_ptr<const void> alive();
  /// Once its program is there.
  Result<std::unique_ptr<Child>> start(LaunchableProgram program, ChildRequest request);
  /// False after close().
  bool begin_start();
  void end_start(const InstanceRef& child);
  void ended(const InstanceRef& child);
  void finish_if_closed();

  InstanceManager& manager_;
  const Parent parent_;
  std::mutex mutex_;
  uint32_t count_ = 0;     ///< those that live, and launches that are under way
  uint32_t starting_ = 0;  ///< of these, those that are in `live_` soon
  std::set<InstanceRef> live_;
  bool is_closed_ = false;
  std::shared_ptr<const void> open_ = std::make_shared<char>();  ///< until it is closed
  std::vector<std::function<void()>> closers_;                   ///< called when the last has ended
};

}  // namespace pie::instance
