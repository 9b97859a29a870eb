#include "engine/front.h"

#include <fmt/format.h>

#include <algorithm>

namespace pie::engine {
namespace {

Error unmapped(std::string_view call, std::string_view kind, uint32_t pointer) {
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("[{}] got {} pointer {}, expected one that this instance has allocated",
                           call, kind, pointer)};
}

}  // namespace

Front::Front(const EngineLimits& limits, const EngineConfig& config, SnapshotStore* snapshots)
    : limits_(limits),
      snapshots_(snapshots),
      prefix_cache_(config.prefix_cache),
      prefix_cache_shared_(config.prefix_cache_shared) {
  stats_.kv_pages_capacity = limits.page_count;
  stats_.embeddings_capacity = kEmbeddingsCapacity;
}

void Front::post(Message message) {
  inbox_.push_back(std::move(message));
  if (waiting_ == Waiting::kMessage) wake_.notify_one();
}

void Front::forget(InstanceId instance, uint32_t count) {
  const auto at = expected_.find(instance);
  if (at == expected_.end()) return;
  if (at->second > count) {
    at->second -= count;
    return;
  }
  expected_.erase(at);
  if (expected_.empty() && waiting_ == Waiting::kGather) wake_.notify_one();
}

uint32_t Front::domain_of(const std::string& user) {
  if (!prefix_cache_) return 0;
  if (prefix_cache_shared_) return 1;
  return domains_.try_emplace(user, static_cast<uint32_t>(domains_.size()) + 1).first->second;
}

void Front::open_instance(InstanceId instance, const InstanceOptions& options) {
  const std::lock_guard lock(mutex_);
  const uint32_t most = limits_.page_count;
  Instance& opened = instances_[instance];
  opened.kv_pages_max = options.kv_pages_max == 0 ? most : std::min(most, options.kv_pages_max);
  opened.shared = options.shared;
  opened.user = options.user;
  opened.domain = domain_of(options.user);
}

void Front::close_instance(InstanceId instance, std::function<void()> closed) {
  const std::lock_guard lock(mutex_);
  CloseInstance message{.instance = instance, .closed = std::move(closed)};
  if (const auto at = instances_.find(instance); at != instances_.end()) {
    message.pages = at->second.pages.slots();
    if (at->second.shared) at->second.shared->kv_pages.give_back(message.pages.size());
    message.embeddings = at->second.embeddings.slots();
    instances_.erase(at);
    std::erase_if(queues_, [&](const auto& queue) { return queue.second == instance; });
  }
  forget(instance, UINT32_MAX);
  post(std::move(message));
}

void Front::instance_blocked(InstanceId instance) {
  const std::lock_guard lock(mutex_);
  forget(instance, UINT32_MAX);
  const auto at = instances_.find(instance);
  if (at == instances_.end() || std::exchange(at->second.blocked, true)) return;
  if (!wants_paused_ || at->second.pending_commands > 0) return;
  has_paused_ = true;
  if (waiting_ == Waiting::kMessage) wake_.notify_one();
}

QueueId Front::create_queue(InstanceId instance) {
  const std::lock_guard lock(mutex_);
  const QueueId queue{++last_queue_};
  if (!instances_.contains(instance)) return queue;  // its commands will say so
  queues_[queue] = instance;
  post(OpenQueue{queue, instance});
  return queue;
}

void Front::set_priority(QueueId queue, Priority priority) {
  const std::lock_guard lock(mutex_);
  if (queues_.contains(queue)) post(ChangePriority{queue, priority});
}

Result<Front::Owner> Front::owner(std::string_view call, QueueId queue) {
  const auto at = queues_.find(queue);
  if (at == queues_.end()) {
    return Error{
        ErrorCode::kFailedPrecondition,
        fmt::format("[{}] got queue {}, expected one of an open instance", call, queue.value)};
  }
  return Owner{at->second, &instances_.at(at->second)};
}

Result<void> Front::admit_command(std::string_view call, Owner owner) {
  if (owner.instance->pending_commands >= kCommandsPendingMax) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got a command on top of {} that wait, expected at most {}: wait "
                             "for results or synchronize",
                             call, owner.instance->pending_commands, kCommandsPendingMax)};
  }
  ++owner.instance->pending_commands;
  owner.instance->blocked = false;
  return {};
}

/// Whether the instance (for pointers of its own: `is_mapped`), the engine and the user's quota
/// take so many more; then the quota counts them.
Result<void> Front::admit_slots(std::string_view call, const Instance& instance, ResourceType type,
                                uint64_t count, bool is_mapped) {
  const bool pages = type == ResourceType::kKvPage;
  const uint64_t mapped = (pages ? instance.pages : instance.embeddings).mapped_count();
  const uint32_t allowed = pages ? instance.kv_pages_max : kEmbeddingsPerInstance;
  const std::string_view kind = pages ? "KV pages" : "embedding slots";
  if (is_mapped && mapped + count > allowed) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got {} {} on top of {} used, expected at most {} allowed for "
                             "this instance",
                             call, count, kind, mapped, allowed)};
  }
  if (!pages && uint64_t{embedding_slots_.taken_count()} + count > kEmbeddingsCapacity) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got {} {} on top of {} used, expected at most {} in all", call,
                             count, kind, embedding_slots_.taken_count(), kEmbeddingsCapacity)};
  }
  UserQuotas* shared = instance.shared.get();
  if (pages && shared && !shared->kv_pages.take(count))
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] {}", call, shared->kv_pages.refusal(count))};
  return {};
}

Result<std::vector<uint32_t>> Front::allocate(QueueId queue, uint32_t resource_type,
                                              uint32_t count) {
  constexpr std::string_view kCall = "allocate-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  const bool pages = type == ResourceType::kKvPage;
  kv::PointerTable& table = pages ? who.instance->pages : who.instance->embeddings;
  kv::SlotSource& source = pages ? page_slots_ : embedding_slots_;
  PIE_TRY(admit_slots(kCall, *who.instance, type, count, true));
  std::vector<uint32_t> pointers;
  pointers.reserve(count);
  for (uint32_t i = 0; i < count; ++i) pointers.push_back(table.map(source.take()));
  return pointers;
}

Result<void> Front::deallocate(QueueId queue, uint32_t resource_type,
                               std::span<const uint32_t> pointers) {
  constexpr std::string_view kCall = "deallocate-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner(kCall, queue));
  const bool pages = type == ResourceType::kKvPage;
  kv::PointerTable& table = pages ? who.instance->pages : who.instance->embeddings;
  std::vector<uint32_t> sorted(pointers.begin(), pointers.end());
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (!table.find(sorted[i])) {
      return unmapped(kCall, pages ? "KV page" : "embedding", sorted[i]);
    }
    if (i > 0 && sorted[i] == sorted[i - 1]) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[{}] got pointer {} twice, expected each once", kCall, sorted[i])};
    }
  }
  if (sorted.empty()) return {};
  PIE_TRY(admit_command(kCall, who));
  Deallocate message{.queue = queue, .id = sched::CommandId{++last_command_}, .type = type};
  for (const uint32_t pointer : pointers) message.slots.push_back(*table.unmap(pointer));
  if (pages && who.instance->shared) who.instance->shared->kv_pages.give_back(pointers.size());
  post(std::move(message));
  return {};
}

Result<void> Front::give_temporary_pages(PendingPass& pending) {
  const uint64_t count =
      (uint64_t{pending.shape.token_count} + limits_.page_size - 1) / limits_.page_size;
  if (count > limits_.page_count) {
    return Error{
        ErrorCode::kResourceExhausted,
        fmt::format("[execute] got a pass of {} tokens without cache, expected at most {}",
                    pending.shape.token_count, uint64_t{limits_.page_count} * limits_.page_size)};
  }
  pending.temporary_pages = true;
  for (uint64_t i = 0; i < count; ++i) pending.shape.pages.push_back(page_slots_.take());
  return {};
}

Result<void> Front::resolve(Instance& instance, const ForwardPass& pass, PendingPass& pending) {
  pending.shape.pages.reserve(pass.pages.size());
  for (const VirtualPage page : pass.pages) {
    const auto slot = instance.pages.find(page.value);
    if (!slot) return unmapped("execute", "KV page", page.value);
    pending.shape.pages.push_back(*slot);
  }
  if (!pass.pages.empty()) {
    // A page that this pass writes may occur once only: two tokens would share a cache slot.
    const size_t first = pending.shape.context_len / limits_.page_size;
    std::vector<VirtualPage> written(pass.pages.begin() + static_cast<ptrdiff_t>(first),
                                     pass.pages.end());
    std::sort(written.begin(), written.end());
    auto twice = std::adjacent_find(written.begin(), written.end());
    for (size_t i = 0; i < first && twice == written.end(); ++i) {
      const auto at = std::lower_bound(written.begin(), written.end(), pass.pages[i]);
      if (at != written.end() && *at == pass.pages[i]) twice = at;
    }
    if (twice != written.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[execute] got KV page pointer {} twice, expected once: this pass "
                               "writes to that page",
                               twice->value)};
    }
  }
  for (size_t i = 0; i < pass.inputs.size(); ++i) {
    const auto& pointer = pass.inputs[i].embedding_slot;
    if (!pointer) continue;
    const auto slot = instance.embeddings.find(*pointer);
    if (!slot) return unmapped("execute", "embedding", *pointer);
    pending.input_slots.resize(pass.inputs.size());
    pending.input_slots[i] = *slot;
    pending.embedding_pins.push_back(*slot);
  }
  for (const EmbeddingOutput& output : pass.embeddings) {
    const auto slot = instance.embeddings.find(output.slot);
    if (!slot) return unmapped("execute", "embedding", output.slot);
    pending.embedding_targets.push_back({output.index, *slot});
    pending.embedding_pins.push_back(*slot);
  }
  pending.shape.after_earlier_only = !pending.embedding_pins.empty();
  return {};
}

Result<void> Front::submit(QueueId queue, ForwardPass pass, ForwardCallback done) {
  PIE_TRY(validate_pass(pass, limits_));
  uint32_t domain = 0;
  {
    const std::lock_guard lock(mutex_);
    PIE_TRY_ASSIGN(const Owner who, owner("execute", queue));
    domain = who.instance->domain;
  }
  std::unique_ptr<PendingPass> pending = take_pass(pass, std::move(done), limits_, domain);
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("execute", queue));
  PIE_TRY(resolve(*who.instance, pass, *pending));
  PIE_TRY(admit_command("execute", who));
  if (pass.pages.empty() && pending->shape.token_count > limits_.step_tokens_max) {
    PIE_TRY(give_temporary_pages(*pending));
  }
  pending->instance = who.id;
  pending->number = who.instance->pass_count++;
  post(Submit{queue, sched::CommandId{++last_command_}, std::move(pending)});
  forget(who.id, 1);
  return {};
}

void Front::synchronize(QueueId queue, std::function<void(bool)> done) {
  const std::lock_guard lock(mutex_);
  const Result<Owner> who = owner("synchronize", queue);
  if (!who.ok() || !admit_command("synchronize", *who).ok()) {
    post(Notify{[done = std::move(done)] { done(false); }});
    return;
  }
  post(Synchronize{queue, sched::CommandId{++last_command_}, std::move(done)});
  forget(who->id, 1);
}

}  // namespace pie::engine
