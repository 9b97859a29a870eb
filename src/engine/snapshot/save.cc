// Contexts that are kept on disk under a name (engine/snapshot.h).
#include <fmt/format.h>

#include "engine/local_engine.h"
#include "engine/snapshot/store.h"

namespace pie::engine {
namespace {

constexpr size_t kNameBytesMax = 1024;
constexpr size_t kTokensMax = 1 << 20;

Error not_served() {
  return {ErrorCode::kUnsupported, "[snapshot] got a call, expected none: this server keeps none"};
}

Result<void> check_request(const SnapshotRequest& request, uint32_t page_size) {
  const auto invalid = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  };
  if (request.name.empty() || request.name.size() > kNameBytesMax)
    return invalid(fmt::format("[snapshot] got a name of {} bytes, expected 1 to {}",
                               request.name.size(), kNameBytesMax));
  if (request.pages.empty() || request.last_page_len == 0 || request.last_page_len > page_size)
    return invalid(
        fmt::format("[snapshot] got {} pages with {} tokens in the last one, expected "
                    "at least one page and 1 to {} tokens",
                    request.pages.size(), request.last_page_len, page_size));
  if (request.tokens.size() > kTokensMax)
    return invalid(fmt::format("[snapshot] got {} tokens, expected at most {}",
                               request.tokens.size(), kTokensMax));
  return {};
}

}  // namespace

/// The queue's user. The store is asked without the front's lock: it may delete files.
Result<std::string> Front::snapshot_user(QueueId queue) {
  if (!snapshots_) return not_served();
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("snapshot", queue));
  return who.instance->user;
}

Result<void> Front::save_snapshot(QueueId queue, SnapshotRequest request, SnapshotSaved done) {
  constexpr std::string_view kCall = "snapshot";
  if (!snapshots_) return not_served();
  PIE_TRY(check_request(request, limits_.page_size));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  constexpr ResourceType kPages = ResourceType::kKvPage;
  PIE_TRY_ASSIGN(std::vector<kv::SlotId> from,
                 find_slots(kCall, *who.instance, kPages, request.pages));
  PIE_TRY(admit_command(kCall, who));
  PIE_TRY(admit_slots(kCall, *who.instance, kPages, from.size(), false));
  const auto account = std::make_shared<SlotAccount>();
  account->shared = who.instance->page_account->shared;
  std::vector<kv::SlotId> slots = take_slots(account, kPages, from.size());
  post_share(queue, who, kPages, {kv::kExports, std::move(from), slots, 0, 0});
  const sched::CommandId id = begin_command(queue, who);
  post(SaveSnapshot{.queue = queue,
                    .instance = who.id,
                    .id = id,
                    .slots = std::move(slots),
                    .user = who.instance->user,
                    .request = std::move(request),
                    .done = std::move(done)});
  return {};
}

Result<void> Front::load_snapshot(QueueId queue, const std::string& name, SnapshotLoaded done) {
  PIE_TRY_ASSIGN(const std::string user, snapshot_user(queue));
  PIE_TRY(snapshots_->find(user, name));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("snapshot", queue));
  PIE_TRY(admit_command("snapshot", who));
  begin_command(queue, who);
  post(LoadSnapshot{who.id, snapshots_->path(user, name), std::move(done)});
  return {};
}

Result<std::vector<SnapshotInfo>> Front::list_snapshots(QueueId queue) {
  PIE_TRY_ASSIGN(const std::string user, snapshot_user(queue));
  return snapshots_->list(user);
}

Result<void> Front::remove_snapshot(QueueId queue, const std::string& name) {
  PIE_TRY_ASSIGN(const std::string user, snapshot_user(queue));
  return snapshots_->remove(user, name);
}

Result<Front::Mapped> Front::map_snapshot(InstanceId id, uint64_t count) {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(id);
  if (at == instances_.end())
    return Error{ErrorCode::kCancelled, "[snapshot] got an instance that was closed"};
  PIE_TRY(admit_slots("snapshot", at->second, ResourceType::kKvPage, count, true));
  Mapped mapped = map_slots(at->second, ResourceType::kKvPage, count);
  // The step loop knows them from now on.
  page_slots_.pin(mapped.slots);
  page_slots_.unpin(mapped.slots);
  return mapped;
}

}  // namespace pie::engine
