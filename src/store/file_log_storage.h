#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/work_queue.h"
#include "ports/log_storage.h"
#include "store/instance_log_file.h"

namespace pie::store {

/// A log in a file, written and read on the threads of a queue. The file is open only meanwhile, so
/// that logs may be many.
class FileLogStorage final : public LogStorage {
 public:
  /// `owner`: whose turn of the queue its work takes.
  FileLogStorage(std::unique_ptr<InstanceLogFile> file, std::string owner,
                 std::shared_ptr<WorkQueue> queue);

  void perform(LogWork work, std::function<void(LogWorkDone)> done) override;

 private:
  const std::shared_ptr<InstanceLogFile> file_;
  const std::string owner_;
  const std::shared_ptr<WorkQueue> queue_;
};

}  // namespace pie::store
