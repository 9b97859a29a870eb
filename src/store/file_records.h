#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/work_queue.h"
#include "store/disk_reserve.h"
#include "store/instance_records.h"
#include "store/instance_table.h"

namespace pie::store {

/// Records in the database of one PIE_HOME, logs in `FOLDER/<id>.log`.
class FileRecords final : public InstanceRecords {
 public:
  /// Logs that a crash left behind when their instances were removed are removed.
  FileRecords(Database& database, std::filesystem::path folder, const DiskReserve& reserve);

  void add(InstanceRecord record, Done done) override;
  void finished(const std::string& owner, const std::string& id, uint64_t finished_ns) override;
  void remove(const std::string& owner, const std::string& id) override;
  std::unique_ptr<LogStorage> new_log(const std::string& owner, const std::string& id) override;
  Result<std::vector<StoredInstance>> recover() override;

  /// Does what was asked for, and nothing after that.
  void stop();

 private:
  std::filesystem::path log_of(const std::string& id) const { return folder_ / (id + ".log"); }
  void remove_orphans();
  void ask_and_log(const std::string& owner, const std::string& id,
                   std::function<Result<void>()> work);

  InstanceTable table_;
  const std::filesystem::path folder_;
  const DiskReserve& reserve_;
  // Bounded by those who ask: some calls for each instance, one piece of work for each log.
  const std::shared_ptr<WorkQueue> logs_;
  WorkQueue records_;
};

}  // namespace pie::store
