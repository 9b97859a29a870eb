// Names under which resources outlive the instance that made them (inferlet-host.md, section 2).
#include <fmt/format.h>

#include "base/user_name.h"
#include "engine/local_engine.h"

namespace pie::engine {
namespace {

constexpr size_t kNameBytesMax = 1024;
constexpr uint64_t kExportsPerUserMax = 4096;
/// What they stand for together; several names may share pages.
constexpr uint64_t kExportedPerUserMax = 1 << 20;

Error no_such_name(std::string_view call, const std::string& name) {
  return Error{ErrorCode::kNotFound,
               fmt::format("[{}] got the name '{}', expected one that this user has exported", call,
                           name.substr(0, 80))};
}

}  // namespace

const Front::Export* Front::find_export(const std::string& user, ResourceType type,
                                        const std::string& name) {
  for (const std::string& owner : {user, std::string(kInternalUser)}) {
    const auto found = exports_.find({owner, type, name});
    if (found != exports_.end()) return &found->second;
  }
  return nullptr;
}

/// Posts an admitted export or import, whose slots it pins until it is done.
void Front::post_share(QueueId queue, const Owner& owner, ResourceType type,
                       sched::ShareShape shape) {
  slots_of(type).pin(shape.from);
  slots_of(type).pin(shape.to);
  const sched::CommandId id = begin_command(queue, owner);
  post(Share{queue, owner.id, id, type, std::move(shape)});
}

Result<void> Front::export_resources(QueueId queue, uint32_t resource_type,
                                     std::span<const uint32_t> pointers, const std::string& name) {
  constexpr std::string_view kCall = "export-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  if (name.empty() || name.size() > kNameBytesMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[{}] got a name of {} bytes, expected 1 to {}", kCall, name.size(),
                             kNameBytesMax)};
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  const ExportKey key{who.instance->user, type, name};
  if (exports_.contains(key))
    return Error{ErrorCode::kAlreadyExists,
                 fmt::format("[{}] got the name '{}', expected one that is not exported: release "
                             "it first",
                             kCall, name.substr(0, 80))};
  PIE_TRY_ASSIGN(std::vector<kv::SlotId> from, find_slots(kCall, *who.instance, type, pointers));
  const auto known = export_use_.find(key.user);
  const ExportUse use = known == export_use_.end() ? ExportUse{} : known->second;
  if (use.names >= kExportsPerUserMax || use.slots + pointers.size() > kExportedPerUserMax)
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got {} more on top of {} under {} names, expected at most {} "
                             "under {} of one user: release some",
                             kCall, pointers.size(), use.slots, use.names, kExportedPerUserMax,
                             kExportsPerUserMax)};
  PIE_TRY(admit_command(kCall, who));
  PIE_TRY(admit_slots(kCall, *who.instance, type, pointers.size(), false));
  const auto account = std::make_shared<SlotAccount>();
  account->shared = who.instance->account(type)->shared;
  Export made{++last_export_, take_slots(account, type, from.size())};
  export_use_[key.user] = {use.names + 1, use.slots + made.slots.size()};
  exported_count(type) += static_cast<uint32_t>(made.slots.size());
  post_share(queue, who, type, {kv::kExports, std::move(from), made.slots, made.number, 0});
  exports_.emplace(key, std::move(made));
  return {};
}

Result<std::vector<uint32_t>> Front::import_resources(QueueId queue, uint32_t resource_type,
                                                      const std::string& name) {
  constexpr std::string_view kCall = "import-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  const Export* found = find_export(who.instance->user, type, name);
  if (found == nullptr) return no_such_name(kCall, name);
  PIE_TRY(admit_command(kCall, who));
  PIE_TRY(admit_slots(kCall, *who.instance, type, found->slots.size(), true));
  Mapped mapped = map_slots(*who.instance, type, found->slots.size());
  post_share(queue, who, type, {who.id, found->slots, std::move(mapped.slots), 0, found->number});
  return std::move(mapped.pointers);
}

Result<void> Front::release_exported(QueueId queue, uint32_t resource_type,
                                     const std::string& name) {
  constexpr std::string_view kCall = "release-exported-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  const auto found = exports_.find({who.instance->user, type, name});
  if (found == exports_.end()) return no_such_name(kCall, name);
  std::vector<kv::SlotId>& slots = found->second.slots;
  for (const kv::SlotId slot : slots) static_cast<void>(slots_of(type).release(slot));
  exported_count(type) -= static_cast<uint32_t>(slots.size());
  const auto use = export_use_.find(who.instance->user);
  use->second.slots -= slots.size();
  if (--use->second.names == 0) export_use_.erase(use);
  post(Release{type, std::move(slots)});
  exports_.erase(found);
  return {};
}

Result<std::vector<ExportedName>> Front::exported(QueueId queue, uint32_t resource_type) {
  constexpr std::string_view kCall = "get-all-exported-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  std::map<std::string, uint32_t> counts;
  for (const std::string& user : {who.instance->user, std::string(kInternalUser)}) {
    for (auto at = exports_.lower_bound({user, type, ""});
         at != exports_.end() && at->first.user == user && at->first.type == type; ++at)
      counts.try_emplace(at->first.name, static_cast<uint32_t>(at->second.slots.size()));
  }
  std::vector<ExportedName> names;
  for (const auto& [name, count] : counts) names.push_back({name, count});
  return names;
}

}  // namespace pie::engine
