#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/snapshot/snapshot.h"

namespace pie::engine {

struct SnapshotHeader;

/// The snapshots of one model's contexts: a folder of files, one each, named by a hash of user and
/// name. What a file says of itself is all there is: nothing else has to survive. Thread-safe.
class SnapshotStore {
 public:
  /// Lists what is there; what has expired and what was not finished goes.
  SnapshotStore(std::filesystem::path folder, uint64_t user_bytes_max);

  /// Where the user's snapshot of this name is or will be.
  std::filesystem::path path(const std::string& user, const std::string& name) const;
  /// Makes room for a file of the user's that is going to be written, and counts it: the oldest
  /// that are not pinned go. kResourceExhausted with used and allowed when that is not enough.
  /// Followed by add() or give_up().
  Result<void> admit(const std::string& user, const std::string& name, uint64_t bytes);
  /// The admitted file is there now.
  void add(const SnapshotHeader& header);
  /// It will not be there.
  void give_up(const std::string& user, uint64_t bytes);
  /// kNotFound, also for one that has expired.
  Result<SnapshotInfo> find(const std::string& user, const std::string& name);
  std::vector<SnapshotInfo> list(const std::string& user);
  Result<void> remove(const std::string& user, const std::string& name);

 private:
  using Key = std::pair<std::string, std::string>;  // user, name
  void list_file(const SnapshotHeader& header);
  void drop_expired();
  void drop(const Key& key);
  Error no_such(const std::string& name) const;

  const std::filesystem::path folder_;
  const uint64_t user_bytes_max_;
  std::mutex mutex_;
  std::map<Key, SnapshotInfo> all_;
  std::map<std::string, uint64_t> unfinished_;  ///< bytes admitted and not there yet, by user
};

}  // namespace pie::engine
