// Pointers of instances, and whose quotas what they stand for counts in.
#include <fmt/format.h>

#include "engine/local_engine.h"

namespace pie::engine {
namespace {

std::string_view kind_of(ResourceType type) {
  return type == ResourceType::kKvPage ? "KV page" : "embedding";
}

/// Whose quotas count what is under a name, which outlives the instance and its family.
UserQuotasRef outliving(const UserQuotasRef& quotas) {
  return quotas && quotas->user ? quotas->user : quotas;
}

}  // namespace

/// Whether the instance (when it holds the slots), the engine and the user's quota take so many
/// more; then the quota counts them.
Result<void> LocalEngine::admit_slots(std::string_view call, const Instance& instance,
                                      ResourceType type, uint64_t count, SlotHolder holder) {
  const bool pages = type == ResourceType::kKvPage;
  const uint64_t used = instance.account(type)->used;
  const uint32_t allowed = pages ? instance.kv_pages_max : kEmbeddingsPerInstance;
  const std::string_view kind = pages ? "KV pages" : "embedding slots";
  if (holder == SlotHolder::kInstance && used + count > allowed) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got {} {} on top of {} used, expected at most {} allowed for "
                             "this instance",
                             call, count, kind, used, allowed)};
  }
  const uint32_t taken = embedding_slots_.taken_count();
  if (!pages && uint64_t{taken} + count > kEmbeddingsCapacity) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got {} {} on top of {} used, expected at most {} in all", call,
                             count, kind, taken, kEmbeddingsCapacity)};
  }
  UserQuotas* shared = holder == SlotHolder::kInstance
                           ? instance.page_account->shared.get()
                           : outliving(instance.page_account->shared).get();
  if (pages && shared && !shared->kv_pages.take(count))
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] {}", call, shared->kv_pages.refusal(count))};
  return {};
}

/// What the pointers stand for. A call may name no more than the instance has.
Result<std::vector<kv::SlotId>> LocalEngine::find_slots(std::string_view call, Instance& instance,
                                                        ResourceType type,
                                                        std::span<const uint32_t> pointers) {
  const kv::PointerTable& table = instance.table(type);
  if (pointers.size() > table.mapped_count())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[{}] got {} {} pointers, expected at most the {} that this instance "
                             "has allocated",
                             call, pointers.size(), kind_of(type), table.mapped_count())};
  std::vector<kv::SlotId> slots;
  slots.reserve(pointers.size());
  for (const uint32_t pointer : pointers) {
    const auto slot = table.find(pointer);
    if (!slot) return unmapped_error(call, kind_of(type), pointer);
    slots.push_back(*slot);
  }
  return slots;
}

/// Admitted ones.
std::vector<kv::SlotId> LocalEngine::take_slots(const SlotAccountRef& account, ResourceType type,
                                                uint64_t count) {
  std::vector<kv::SlotId> slots;
  slots.reserve(count);
  for (uint64_t i = 0; i < count; ++i) slots.push_back(slots_of(type).take(account));
  return slots;
}

/// Pointers to admitted ones.
LocalEngine::Mapped LocalEngine::map_slots(Instance& instance, ResourceType type, uint64_t count) {
  Mapped mapped;
  mapped.slots = take_slots(instance.account(type), type, count);
  mapped.pointers.reserve(count);
  for (const kv::SlotId slot : mapped.slots)
    mapped.pointers.push_back(instance.table(type).map(slot));
  return mapped;
}

std::vector<kv::SlotId> LocalEngine::take_copies(const Instance& instance, ResourceType type,
                                                 uint64_t count) {
  const auto account = std::make_shared<SlotAccount>();
  account->shared = outliving(instance.account(type)->shared);
  return take_slots(account, type, count);
}

/// Their holder lets go.
void LocalEngine::post_release(ResourceType type, std::vector<kv::SlotId> slots) {
  inbox_.post([type, slots = std::move(slots)](LoopState& loop) { loop.release(type, slots); });
}

Result<std::vector<uint32_t>> LocalEngine::allocate(QueueId queue, uint32_t resource_type,
                                                    uint32_t count) {
  constexpr std::string_view kCall = "allocate-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  if (type == ResourceType::kAdapter) {
    if (count > AdapterTable::kPointersMax) count = AdapterTable::kPointersMax + 1;  // refused
    return who.instance->adapters.map(kCall, std::vector<model::AdapterRef>(count));
  }
  PIE_TRY(admit_slots(kCall, *who.instance, type, count, SlotHolder::kInstance));
  return map_slots(*who.instance, type, count).pointers;
}

Result<void> LocalEngine::deallocate(QueueId queue, uint32_t resource_type,
                                     std::span<const uint32_t> pointers) {
  constexpr std::string_view kCall = "deallocate-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  std::vector<model::AdapterRef> adapters;  // go after the lock is released
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  if (type == ResourceType::kAdapter) {
    PIE_TRY_ASSIGN(adapters, who.instance->adapters.unmap(kCall, pointers));
    return {};
  }
  PIE_TRY(find_slots(kCall, *who.instance, type, pointers));
  kv::PointerTable& table = who.instance->table(type);
  std::vector<bool> seen(table.number_count());
  for (const uint32_t pointer : pointers) {
    if (seen[pointer]) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[{}] got pointer {} twice, expected each once", kCall, pointer)};
    }
    seen[pointer] = true;
  }
  std::vector<kv::SlotId> slots;
  for (const uint32_t pointer : pointers) {
    const kv::SlotId slot = *table.unmap(pointer);
    if (slots_of(type).release(slot)) slots.push_back(slot);
  }
  if (!slots.empty()) post_release(type, std::move(slots));
  return {};
}

}  // namespace pie::engine
