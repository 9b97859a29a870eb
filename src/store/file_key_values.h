#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ledger.h"
#include "base/work_queue.h"
#include "ports/key_values.h"
#include "store/key_value_table.h"

namespace pie::store {

/// The programs' key-value pairs in the database, read and written by a thread of its own: only who
/// asked waits for the disk, and users take turns. The time is charged to them.
class FileKeyValues final : public KeyValues {
 public:
  /// `user_bytes_max`: keys and values of one user together; 0 = unlimited. The ledger outlives it.
  FileKeyValues(std::unique_ptr<Database> database, Ledger& ledger, uint64_t user_bytes_max)
      : table_(std::move(database)), ledger_(ledger), user_bytes_max_(user_bytes_max) {}

  void get(const std::string& user, std::string key,
           Done<std::optional<std::string>> done) override;
  void set(const std::string& user, std::string key, std::string value, Done<void> done) override;
  void remove(const std::string& user, std::string key, Done<void> done) override;
  void exists(const std::string& user, std::string key, Done<bool> done) override;
  void list_keys(const std::string& user, uint64_t bytes_max,
                 Done<std::vector<std::string>> done) override;

  /// What waits is dropped: its programs are gone.
  void stop() { queue_.stop(WorkQueue::Rest::kDrop); }

 private:
  std::shared_ptr<Quota> cpu_of(const std::string& user) {
    return part_of(ledger_.of(user), &UserQuotas::cpu);
  }

  KeyValueTable table_;
  Ledger& ledger_;
  const uint64_t user_bytes_max_;
  WorkQueue queue_{{.name = "kvs", .owner_pending_max = 16'384}};
};

}  // namespace pie::store
