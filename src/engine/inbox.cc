// The front's side towards the step loop.
#include "engine/local_engine.h"

namespace pie::engine {

void Front::stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  wake_.notify_one();
}

bool Front::stopping() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

std::vector<Message> Front::receive() {
  const std::lock_guard lock(mutex_);
  ++inbox_number_;
  return std::exchange(inbox_, {});
}

bool Front::wait(std::optional<std::chrono::nanoseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto come = [&] { return stop_ || !inbox_.empty() || has_paused_; };
  waiting_ = Waiting::kMessage;
  if (patience) {
    wake_.wait_for(lock, *patience, come);
  } else {
    wake_.wait(lock, come);
  }
  waiting_ = Waiting::kNo;
  const bool has_come = come();
  has_paused_ = false;
  return has_come;
}

void Front::expect(std::span<const InstanceId> instances) {
  const std::lock_guard lock(mutex_);
  for (const InstanceId instance : instances) {
    const auto at = instances_.find(instance);
    if (at == instances_.end()) continue;
    at->second.blocked = false;
    ++expected_[instance];
  }
}

void Front::gather(std::chrono::nanoseconds patience) {
  std::unique_lock lock(mutex_);
  waiting_ = Waiting::kGather;
  wake_.wait_for(lock, patience, [&] { return stop_ || expected_.empty(); });
  waiting_ = Waiting::kNo;
  expected_.clear();
}

void Front::settle(Settlement settlement) {
  const std::lock_guard lock(mutex_);
  page_slots_.unpin(settlement.unpinned_pages);
  embedding_slots_.unpin(settlement.unpinned_embeddings);
  page_slots_.died(settlement.dead_pages);
  embedding_slots_.died(settlement.dead_embeddings);
  for (const auto& [instance, held] : settlement.kv_pages_held) {
    if (held > 0) {
      kv_pages_held_[instance] = held;
    } else {
      kv_pages_held_.erase(instance);
    }
  }
  for (const sched::PrefixHit& hit : settlement.hits) {
    const auto at = instances_.find(hit.instance);
    if (at == instances_.end()) continue;
    ++at->second.savings.hits;
    at->second.savings.tokens += hit.token_count;
  }
  stats_ = settlement.stats;
  stats_.embeddings_capacity = kEmbeddingsCapacity;
}

void Front::retire(InstanceId instance, uint32_t count, bool wakes) {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(instance);
  if (at == instances_.end()) return;
  at->second.pending_commands -= count;
  if (wakes) at->second.blocked = false;
  if (at->second.blocked && at->second.pending_commands == 0) has_paused_ = wants_paused_;
}

std::set<InstanceId> Front::paused(bool wakes) {
  const std::lock_guard lock(mutex_);
  wants_paused_ = wakes;
  has_paused_ = false;
  std::set<InstanceId> paused;
  for (const auto& [id, instance] : instances_) {
    if (instance.blocked && instance.pending_commands == 0) paused.insert(id);
  }
  return paused;
}

void Front::page_moved(PageMoved message) {
  const std::lock_guard lock(mutex_);
  post(message);
}

void Front::notify(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  post(Notify{std::move(call)});
}

PrefixSavings Front::prefix_savings(InstanceId instance) const {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(instance);
  return at == instances_.end() ? PrefixSavings{} : at->second.savings;
}

uint32_t Front::kv_pages_used(InstanceId instance) const {
  const std::lock_guard lock(mutex_);
  const auto at = kv_pages_held_.find(instance);
  return at == kv_pages_held_.end() ? 0 : at->second;
}

EngineStats Front::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.instance_count = static_cast<uint32_t>(instances_.size());
  stats.embeddings_used = embedding_slots_.taken_count();
  stats.kv_pages_exported = pages_exported_;
  stats.embeddings_exported = embeddings_exported_;
  return stats;
}

}  // namespace pie::engine
