#pragma once
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/disk_thread.h"
#include "engine/snapshot/file.h"

namespace pie::engine {

class SnapshotStore;

/// A snapshot that is to be written.
struct SnapshotWork {
  SnapshotHeader header;
  std::vector<PageSource> pages;  ///< one per page of the header; looked at where that has a hash
  std::filesystem::path path;
};

/// What is read or written of a snapshot before other pages have their turn.
constexpr size_t kSnapshotPieceBytes = size_t{16} << 20;

/// Writes snapshots on the disk thread, one at a time: the last one of a name stays. In pieces:
/// other pages are moved between them. Outlives the disk thread.
class SnapshotWriter {
 public:
  using Done = std::function<void(const Result<void>&)>;

  SnapshotWriter(DiskThread& disk, SnapshotStore& store) : disk_(disk), store_(store) {}

  /// Writes a snapshot for which the store makes room, fills in the hashes of its header and adds
  /// it to the store. Its pages stay what they are until then; `done` is called on the disk thread.
  /// From any thread.
  void save(std::shared_ptr<SnapshotWork> work, Done done);

 private:
  struct Saving;
  void begin(const std::shared_ptr<SnapshotWork>& work, const Done& done);
  void go_on(const std::shared_ptr<Saving>& saving);
  Result<bool> write_piece(Saving& saving);
  void end(const Done& done, const Result<void>& result);

  DiskThread& disk_;
  SnapshotStore& store_;
  std::deque<std::function<void()>> waiting_;  // the first one is under way
};

}  // namespace pie::engine
