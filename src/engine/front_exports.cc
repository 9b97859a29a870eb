// Names under which resources outlive the instance that made them (inferlet-host.md, section 2).
#include <fmt/format.h>

#include <algorithm>

#include "base/user_name.h"
#include "engine/front.h"

namespace pie::engine {
namespace {

constexpr size_t kNameBytesMax = 1024;
constexpr ptrdiff_t kExportsPerUserMax = 4096;

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

Result<std::vector<kv::SlotId>> Front::find_slots(std::string_view call, const Instance& instance,
                                                  ResourceType type,
                                                  std::span<const uint32_t> pointers) {
  const bool pages = type == ResourceType::kKvPage;
  const kv::PointerTable& table = pages ? instance.pages : instance.embeddings;
  std::vector<kv::SlotId> slots;
  for (const uint32_t pointer : pointers) {
    const auto slot = table.find(pointer);
    if (!slot)
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("[{}] got {} pointer {}, expected one that this instance has allocated", call,
                      pages ? "KV page" : "embedding", pointer)};
    slots.push_back(*slot);
  }
  return slots;
}

/// Takes a command and the slots, or neither.
Result<void> Front::admit_share(std::string_view call, Owner owner, ResourceType type,
                                uint64_t count, bool is_mapped) {
  PIE_TRY(admit_command(call, owner));
  auto admitted = admit_slots(call, *owner.instance, type, count, is_mapped);
  if (!admitted.ok()) --owner.instance->pending_commands;
  return admitted;
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
  const std::string& user = who.instance->user;
  const auto first = exports_.lower_bound({user, ResourceType::kKvPage, ""});
  const auto last =
      std::find_if(first, exports_.end(), [&](const auto& one) { return one.first.user != user; });
  if (std::distance(first, last) >= kExportsPerUserMax)
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got one name more than {}, expected fewer: release some", kCall,
                             kExportsPerUserMax)};
  PIE_TRY_ASSIGN(std::vector<kv::SlotId> from, find_slots(kCall, *who.instance, type, pointers));
  PIE_TRY(admit_share(kCall, who, type, pointers.size(), false));
  Export made{.number = ++last_export_, .slots = {}, .shared = who.instance->shared};
  kv::SlotSource& source = type == ResourceType::kKvPage ? page_slots_ : embedding_slots_;
  for (size_t i = 0; i < from.size(); ++i) made.slots.push_back(source.take());
  post(Share{.queue = queue,
             .id = sched::CommandId{++last_command_},
             .type = type,
             .shape = {kv::kExports, std::move(from), made.slots, made.number, 0}});
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
  PIE_TRY(admit_share(kCall, who, type, found->slots.size(), true));
  const bool pages = type == ResourceType::kKvPage;
  kv::PointerTable& table = pages ? who.instance->pages : who.instance->embeddings;
  kv::SlotSource& source = pages ? page_slots_ : embedding_slots_;
  std::vector<uint32_t> pointers;
  std::vector<kv::SlotId> to;
  for (size_t i = 0; i < found->slots.size(); ++i) {
    to.push_back(source.take());
    pointers.push_back(table.map(to.back()));
  }
  post(Share{.queue = queue,
             .id = sched::CommandId{++last_command_},
             .type = type,
             .shape = {who.id, found->slots, std::move(to), 0, found->number}});
  return pointers;
}

Result<void> Front::release_exported(QueueId queue, uint32_t resource_type,
                                     const std::string& name) {
  constexpr std::string_view kCall = "release-exported-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  const auto found = exports_.find({who.instance->user, type, name});
  if (found == exports_.end()) return no_such_name(kCall, name);
  if (type == ResourceType::kKvPage && found->second.shared)
    found->second.shared->kv_pages.give_back(found->second.slots.size());
  post(ReleaseExport{type, std::move(found->second.slots)});
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
