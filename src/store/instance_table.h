#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/instance_records.h"

namespace pie::store {

/// Who launched what, and when it ended: the table `instances`. Thread-safe. Every call waits for
/// the disk; what it changed survives the death of this process when it returns.
class InstanceTable {
 public:
  explicit InstanceTable(Database& database) : database_(database) {}

  Result<void> add(const InstanceRecord& record);
  /// Changes nothing when there is no such record.
  Result<void> finished(const std::string& id, uint64_t finished_ns);
  Result<void> remove(const std::string& id);
  /// Oldest first.
  Result<std::vector<InstanceRecord>> list();

 private:
  Database& database_;
};

}  // namespace pie::store
