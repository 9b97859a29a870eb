#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/snapshot/snapshot.h"

namespace pie::engine {

struct SnapshotHeader;

/// The snapshots of one model's contexts: a folder of files, one each, named by a hash of user and
/// name. What a file says of itself is all there is: nothing else has to survive. What is asked for
/// is answered from memory, from any thread; files are touched by the disk thread alone.
class SnapshotStore {
 public:
  /// Lists what is there; what has expired and what was not finished goes.
  SnapshotStore(std::filesystem::path folder, uint64_t user_bytes_max);
  /// As sweep().
  ~SnapshotStore();

  /// Where the user's snapshot of this name is or will be.
  std::filesystem::path path(const std::string& user, const std::string& name) const;
  /// kNotFound, also for one that has expired.
  Result<SnapshotInfo> find(const std::string& user, const std::string& name);
  std::vector<SnapshotInfo> list(const std::string& user);
  /// Its file goes with the next sweep(). kNotFound.
  Result<void> remove(const std::string& user, const std::string& name);
  /// Whether files are there that nobody finds any more.
  bool has_leftovers() const;

  // From the disk thread.
  /// Deletes these files.
  void sweep();
  /// Makes room for a file of the user's that is going to be written, and counts it: the oldest
  /// that are not pinned go. kResourceExhausted with used and allowed when that is not enough.
  /// Followed by add() or give_up().
  Result<void> admit(const std::string& user, const std::string& name, uint64_t bytes);
  /// The admitted file is there now.
  void add(const SnapshotHeader& header);
  /// It will not be there.
  void give_up(const std::string& user, uint64_t bytes);

 private:
  using Key = std::pair<std::string, std::string>;  // user, name
  void list_file(const SnapshotHeader& header);
  void drop_expired();
  void drop(const Key& key);
  void uncount(const std::string& user, uint64_t bytes);
  Error no_such(const std::string& name) const;

  const std::filesystem::path folder_;
  const uint64_t user_bytes_max_;
  mutable std::mutex mutex_;  // held for the time of a look-up
  std::map<Key, SnapshotInfo> all_;
  std::set<Key> leftovers_;                     ///< not in all_, and their files are there
  std::map<std::string, uint64_t> unfinished_;  ///< bytes admitted and not there yet, by user
};

}  // namespace pie::engine
