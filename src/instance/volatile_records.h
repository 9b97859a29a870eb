#pragma once
#include <memory>
#include <string>
#include <vector>

#include "store/instance_records.h"

namespace pie::instance {

/// Of instances that nothing outlives this process of: children, which end with their parent, and
/// whose parent is told so after a restart. Their logs are in memory alone.
class VolatileRecords final : public store::InstanceRecords {
 public:
  void add(store::InstanceRecord, Done done) override { done({}); }
  void finished(const std::string&, const std::string&, uint64_t) override {}
  void remove(const std::string&, const std::string&) override {}
  std::unique_ptr<LogStorage> new_log(const std::string&, const std::string&) override {
    return nullptr;
  }
  Result<std::vector<store::StoredInstance>> recover() override {
    return std::vector<store::StoredInstance>();
  }
};

}  // namespace pie::instance
