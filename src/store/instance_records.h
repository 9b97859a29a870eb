#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/log_storage.h"

namespace pie::store {

/// One instance as the store knows it. Times are nanoseconds since 1970.
struct InstanceRecord {
  std::string id;
  std::string owner;
  std::string cmd_name;
  std::string program_hash;
  std::vector<std::string> arguments;  ///< recover() gives the first 64 KiB of them
  bool detached = false;
  uint64_t launched_ns = 0;
  std::optional<uint64_t> finished_ns;
  uint64_t arguments_bytes = 0;  ///< of all arguments, about; set by recover()
};

/// A log that an earlier process wrote.
struct StoredLog {
  std::unique_ptr<LogStorage> storage;
  std::vector<EventRecord> records;  ///< not marked as delivered, in order
  uint64_t last_seq = 0;
  bool is_end_delivered = false;
};

struct StoredInstance {
  InstanceRecord record;
  Result<StoredLog> log;
};

/// Who launched what, when it ended, and what it said. Thread-safe. Nothing here blocks, except
/// recover(): the store has threads of its own, and `done` comes from one of them, once. What is
/// asked for one owner takes effect in the order of the calls.
class InstanceRecords {
 public:
  using Done = std::function<void(Result<void>)>;

  virtual ~InstanceRecords() = default;
  /// Survives the death of this process when `done` comes.
  virtual void add(InstanceRecord record, Done done) = 0;
  /// A record that is gone stays so. Failures are logged.
  virtual void finished(const std::string& owner, const std::string& id, uint64_t finished_ns) = 0;
  /// Forgets the record and the log. Failures are logged.
  virtual void remove(const std::string& owner, const std::string& id) = 0;
  /// The log of a new instance; comes into being with its first event.
  virtual std::unique_ptr<LogStorage> new_log(const std::string& owner, const std::string& id) = 0;
  /// Everything that is known, oldest first. For the start of a server: waits for the disk.
  virtual Result<std::vector<StoredInstance>> recover() = 0;
};

}  // namespace pie::store
