// The engine's side towards its step loop: what the loop tells and asks.
#include "engine/local_engine.h"

namespace pie::engine {

void LocalEngine::apply(const LoopReport& report) {
  const std::lock_guard lock(mutex_);
  page_slots_.unpin(report.unpinned_pages);
  embedding_slots_.unpin(report.unpinned_embeddings);
  page_slots_.died(report.dead_pages);
  embedding_slots_.died(report.dead_embeddings);
  for (const auto& [instance, held] : report.kv_pages_held) {
    if (held > 0) {
      kv_pages_held_[instance] = held;
    } else {
      kv_pages_held_.erase(instance);
    }
  }
  for (const sched::PrefixHit& hit : report.hits) {
    const auto at = instances_.find(hit.instance);
    if (at == instances_.end()) continue;
    ++at->second.savings.hits;
    at->second.savings.tokens += hit.token_count;
  }
  stats_ = report.stats;
  stats_.embeddings_capacity = kEmbeddingsCapacity;
}

void LocalEngine::expect(std::span<const InstanceId> instances) {
  const std::lock_guard lock(mutex_);
  std::vector<InstanceId> open;
  open.reserve(instances.size());
  for (const InstanceId instance : instances) {
    const auto at = instances_.find(instance);
    if (at == instances_.end()) continue;
    at->second.blocked = false;
    open.push_back(instance);
  }
  inbox_.expect(open);
}

void LocalEngine::retire(InstanceId instance) {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(instance);
  if (at == instances_.end()) return;
  --at->second.pending_commands;
  if (at->second.is_paused()) inbox_.tell_paused();
}

void LocalEngine::unblock(InstanceId instance) {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(instance);
  if (at != instances_.end()) at->second.blocked = false;
}

std::set<InstanceId> LocalEngine::paused(LoopInbox::PausedAlert alert) {
  const std::lock_guard lock(mutex_);
  inbox_.set_paused_alert(alert);
  std::set<InstanceId> paused;
  for (const auto& [id, instance] : instances_) {
    if (instance.is_paused()) paused.insert(id);
  }
  return paused;
}

PrefixSavings LocalEngine::prefix_savings(InstanceId instance) const {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(instance);
  return at == instances_.end() ? PrefixSavings{} : at->second.savings;
}

uint32_t LocalEngine::kv_pages_used(InstanceId instance) const {
  const std::lock_guard lock(mutex_);
  const auto at = kv_pages_held_.find(instance);
  return at == kv_pages_held_.end() ? 0 : at->second;
}

EngineStats LocalEngine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.instance_count = static_cast<uint32_t>(instances_.size());
  stats.embeddings_used = embedding_slots_.taken_count();
  stats.kv_pages_exported = exports_.count(ResourceType::kKvPage);
  stats.embeddings_exported = exports_.count(ResourceType::kEmbedding);
  return stats;
}

}  // namespace pie::engine
