// Contexts that are kept on disk under a name (engine/snapshot.h).
#include <fmt/format.h>

#include "engine/front.h"
#include "engine/snapshot_store.h"

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

Result<void> Front::save_snapshot(QueueId queue, SnapshotRequest request, SnapshotSaved done) {
  constexpr std::string_view kCall = "snapshot";
  if (!snapshots_) return not_served();
  PIE_TRY(check_request(request, limits_.page_size));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  PIE_TRY_ASSIGN(std::vector<kv::SlotId> from,
                 find_slots(kCall, *who.instance, ResourceType::kKvPage, request.pages));
  PIE_TRY(admit_command(kCall, who));
  auto admitted = admit_share(kCall, who, ResourceType::kKvPage, from.size(), false);
  if (!admitted.ok()) {
    --who.instance->pending_commands;
    return admitted;
  }
  SaveSnapshot message{.queue = queue,
                       .id = {},
                       .slots = {},
                       .shared = who.instance->shared,
                       .user = who.instance->user,
                       .request = std::move(request),
                       .done = std::move(done)};
  for (size_t i = 0; i < from.size(); ++i) message.slots.push_back(page_slots_.take());
  post(Share{.queue = queue,
             .id = sched::CommandId{++last_command_},
             .type = ResourceType::kKvPage,
             .shape = {kv::kExports, std::move(from), message.slots, 0, 0}});
  message.id = sched::CommandId{++last_command_};
  post(std::move(message));
  return {};
}

Result<void> Front::load_snapshot(QueueId queue, const std::string& name, SnapshotLoaded done) {
  if (!snapshots_) return not_served();
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("snapshot", queue));
  PIE_TRY(snapshots_->find(who.instance->user, name));
  post(LoadSnapshot{queue, who.id, snapshots_->path(who.instance->user, name), std::move(done)});
  return {};
}

Result<std::vector<SnapshotInfo>> Front::list_snapshots(QueueId queue) {
  if (!snapshots_) return not_served();
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("snapshot", queue));
  return snapshots_->list(who.instance->user);
}

Result<void> Front::remove_snapshot(QueueId queue, const std::string& name) {
  if (!snapshots_) return not_served();
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("snapshot", queue));
  return snapshots_->remove(who.instance->user, name);
}

Result<Front::Mapped> Front::map_snapshot(QueueId queue, uint64_t count) {
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("snapshot", queue));
  PIE_TRY(admit_slots("snapshot", *who.instance, ResourceType::kKvPage, count, true));
  Mapped mapped;
  for (uint64_t i = 0; i < count; ++i) {
    mapped.slots.push_back(page_slots_.take());
    mapped.pointers.push_back(who.instance->pages.map(mapped.slots.back()));
  }
  return mapped;
}

}  // namespace pie::engine
