#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/strong_id.h"
#include "engine/forward_pass.h"
#include "engine/commands/pass.h"
#include "engine/snapshot/snapshot.h"
#include "sched/command.h"

namespace pie::engine {

// What the front tells the step loop, in the order of the calls.

struct OpenQueue {
  QueueId queue;
  InstanceId instance;
  Priority priority = Priority::kNormal;
};
/// It has all the commands that it will ever have.
struct CloseQueue {
  QueueId queue;
};
struct ChangePriority {
  QueueId queue;
  Priority priority = Priority::kNormal;
};
struct Submit {
  QueueId queue;
  sched::CommandId id;
  std::unique_ptr<PendingPass> pass;
};
struct Synchronize {
  QueueId queue;
  InstanceId instance;
  sched::CommandId id;
  std::function<void(bool)> done;
};
struct CloseInstance {
  InstanceId instance;
  std::vector<kv::SlotId> pages;  ///< what is still mapped
  std::vector<kv::SlotId> embeddings;
  std::function<void()> closed;
};
/// An export or an import.
struct Share {
  QueueId queue;
  InstanceId instance;
  sched::CommandId id;
  ResourceType type = ResourceType::kKvPage;
  sched::ShareShape shape;
};
/// Slots whose holder (an instance, a name) lets go of them: they go with the last command that
/// names them.
struct Release {
  ResourceType type = ResourceType::kKvPage;
  std::vector<kv::SlotId> slots;
};
/// Everything before it in its queue is to be on the disk.
struct SaveSnapshot {
  QueueId queue;
  InstanceId instance;
  sched::CommandId id;
  std::vector<kv::SlotId> slots;  ///< nobody else's
  std::string user;
  SnapshotRequest request;
  SnapshotSaved done;
};
struct LoadSnapshot {
  InstanceId instance;
  std::filesystem::path path;
  SnapshotLoaded done;
};
/// The disk thread has moved a page, or failed to.
struct PageMoved {
  bool is_load = false;
  kv::FrameId frame;
  KvPageId page;
  bool ok = true;
};
/// A callback that only has to come from the engine thread.
struct Notify {
  std::function<void()> call;
};

using Message =
    std::variant<OpenQueue, CloseQueue, ChangePriority, Submit, Synchronize, CloseInstance, Share,
                 Release, SaveSnapshot, LoadSnapshot, PageMoved, Notify>;

}  // namespace pie::engine
