// The front's side towards the step loop.
#include "engine/front.h"

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
  return std::exchange(inbox_, {});
}

bool Front::wait(std::optional<std::chrono::nanoseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto come = [&] { return stop_ || !inbox_.empty(); };
  waiting_ = Waiting::kMessage;
  if (patience) {
    wake_.wait_for(lock, *patience, come);
  } else {
    wake_.wait(lock, come);
  }
  waiting_ = Waiting::kNo;
  return come();
}

void Front::expect(std::span<const InstanceId> instances) {
  const std::lock_guard lock(mutex_);
  for (const InstanceId instance : instances) {
    if (instances_.contains(instance)) ++expected_[instance];
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
  page_slots_.give_back(settlement.dead_pages);
  embedding_slots_.give_back(settlement.dead_embeddings);
  kv_pages_held_ = std::move(settlement.kv_pages_held);
  stats_ = settlement.stats;
  stats_.embeddings_capacity = kEmbeddingsCapacity;
}

void Front::retire(InstanceId instance, uint32_t count) {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(instance);
  if (at != instances_.end()) at->second.pending_commands -= count;
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
  for (const auto& [key, one] : exports_) {
    const auto count = static_cast<uint32_t>(one.slots.size());
    (key.type == ResourceType::kKvPage ? stats.kv_pages_exported : stats.embeddings_exported) +=
        count;
  }
  return stats;
}

}  // namespace pie::engine
