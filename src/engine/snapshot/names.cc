// The names of a user's snapshots. Files are left to the disk thread.
#include "engine/disk_thread.h"
#include "engine/local_engine.h"
#include "engine/snapshot/store.h"
#include "engine/step_loop.h"

namespace pie::engine {

Result<void> LocalEngine::check_snapshots_served() const {
  if (snapshots_) return {};
  return Error{ErrorCode::kUnsupported,
               "[snapshot] got a call, expected none: this server keeps none"};
}

Result<std::string> LocalEngine::snapshot_user(QueueId queue) {
  PIE_TRY(check_snapshots_served());
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller("snapshot", queue));
  return who.instance->user;
}

void LocalEngine::sweep_snapshots() {
  if (snapshots_->has_leftovers())
    loop_->disk().run([store = snapshots_.get()] { store->sweep(); });
}

Result<std::vector<SnapshotInfo>> LocalEngine::list_snapshots(QueueId queue) {
  PIE_TRY_ASSIGN(const std::string user, snapshot_user(queue));
  std::vector<SnapshotInfo> list = snapshots_->list(user);
  sweep_snapshots();
  return list;
}

Result<void> LocalEngine::remove_snapshot(QueueId queue, const std::string& name) {
  PIE_TRY_ASSIGN(const std::string user, snapshot_user(queue));
  PIE_TRY(snapshots_->remove(user, name));
  sweep_snapshots();
  return {};
}

}  // namespace pie::engine
