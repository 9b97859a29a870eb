#include "engine/local_engine.h"

#include <fmt/format.h>

#include <algorithm>

namespace pie::engine {

Front::Front(const EngineLimits& limits, const EngineConfig& config, SnapshotStore* snapshots)
    : limits_(limits),
      snapshots_(snapshots),
      domains_(config.prefix_cache, config.prefix_cache_shared) {
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

void Front::open_instance(InstanceId instance, const InstanceOptions& options) {
  const std::lock_guard lock(mutex_);
  const uint32_t most = limits_.page_count;
  Instance& opened = instances_[instance];
  opened.kv_pages_max = options.kv_pages_max == 0 ? most : std::min(most, options.kv_pages_max);
  opened.page_account->shared = options.shared;
  opened.user = options.user;
  opened.domain = domains_.open(options.user);
}

void Front::close_instance(InstanceId instance, std::function<void()> closed) {
  const std::lock_guard lock(mutex_);
  CloseInstance message{.instance = instance, .closed = std::move(closed)};
  if (const auto at = instances_.find(instance); at != instances_.end()) {
    message.pages = at->second.pages.slots();
    message.embeddings = at->second.embeddings.slots();
    for (const QueueId queue : at->second.queues) queues_.erase(queue);
    domains_.close(at->second.user);
    instances_.erase(at);
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
  const auto at = instances_.find(instance);
  if (at == instances_.end()) return queue;  // its commands will say so
  at->second.queues.insert(queue);
  queues_[queue].instance = instance;
  return queue;
}

void Front::close_queue(QueueId queue) {
  const std::lock_guard lock(mutex_);
  const auto at = queues_.find(queue);
  if (at == queues_.end()) return;
  const bool is_open = at->second.is_open;
  instances_.at(at->second.instance).queues.erase(queue);
  queues_.erase(at);
  if (is_open) post(CloseQueue{queue});
}

void Front::set_priority(QueueId queue, Priority priority) {
  const std::lock_guard lock(mutex_);
  const auto at = queues_.find(queue);
  if (at == queues_.end() || at->second.priority == priority) return;
  at->second.priority = priority;
  if (!at->second.is_open) return;
  // One that waits takes the new value: a program may call this as often as it likes.
  if (auto& [inbox, place] = at->second.change; inbox == inbox_number_) {
    std::get<ChangePriority>(inbox_[place]).priority = priority;
  } else {
    inbox = inbox_number_;
    place = inbox_.size();
    post(ChangePriority{queue, priority});
  }
}

Result<Front::Owner> Front::owner(std::string_view call, QueueId queue) {
  const auto at = queues_.find(queue);
  if (at == queues_.end()) {
    return Error{
        ErrorCode::kFailedPrecondition,
        fmt::format("[{}] got queue {}, expected one of an open instance", call, queue.value)};
  }
  return Owner{at->second.instance, &instances_.at(at->second.instance), &at->second};
}

/// Whether the instance may have one more command that waits.
Result<void> Front::admit_command(std::string_view call, const Owner& owner) const {
  if (owner.instance->pending_commands < kCommandsPendingMax) return {};
  return Error{ErrorCode::kResourceExhausted,
               fmt::format("[{}] got a command on top of {} that wait, expected at most {}: wait "
                           "for results or synchronize",
                           call, owner.instance->pending_commands, kCommandsPendingMax)};
}

/// Counts an admitted command; the step loop hears of the queue before its first one.
sched::CommandId Front::begin_command(QueueId id, const Owner& owner) {
  ++owner.instance->pending_commands;
  owner.instance->blocked = false;
  if (!std::exchange(owner.queue->is_open, true))
    post(OpenQueue{id, owner.id, owner.queue->priority});
  return sched::CommandId{++last_command_};
}

Result<void> Front::synchronize(QueueId queue, std::function<void(bool)> done) {
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Owner who, owner("synchronize", queue));
  PIE_TRY(admit_command("synchronize", who));
  const sched::CommandId id = begin_command(queue, who);
  post(Synchronize{queue, who.id, id, std::move(done)});
  forget(who.id, 1);
  return {};
}

}  // namespace pie::engine
