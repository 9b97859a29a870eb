// Forward passes on their way to the step loop.
#include "engine/local_engine.h"

namespace pie::engine {

/// Looks up the pass's pointers.
Result<void> Front::resolve(Instance& instance, const ForwardPass& pass, PendingPass& pending) {
  pending.shape.pages.reserve(pass.pages.size());
  for (const VirtualPage page : pass.pages) {
    const auto slot = instance.pages.find(page.value);
    if (!slot) return unmapped_error("execute", "KV page", page.value);
    pending.shape.pages.push_back(*slot);
  }
  for (size_t i = 0; i < pass.inputs.size(); ++i) {
    const auto& pointer = pass.inputs[i].embedding_slot;
    if (!pointer) continue;
    const auto slot = instance.embeddings.find(*pointer);
    if (!slot) return unmapped_error("execute", "embedding", *pointer);
    pending.input_slots.resize(pass.inputs.size());
    pending.input_slots[i] = *slot;
    pending.embedding_pins.push_back(*slot);
  }
  for (const EmbeddingOutput& output : pass.embeddings) {
    const auto slot = instance.embeddings.find(output.slot);
    if (!slot) return unmapped_error("execute", "embedding", output.slot);
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
  const uint32_t tokens = pending->shape.token_count;
  pending->temporary_pages = pass.pages.empty() && tokens > limits_.step_tokens_max;
  if (pending->temporary_pages) {
    const uint64_t count = (uint64_t{tokens} + limits_.page_size - 1) / limits_.page_size;
    PIE_TRY(admit_slots("execute", *who.instance, ResourceType::kKvPage, count, true));
    pending->shape.pages = take_slots(who.instance->page_account, ResourceType::kKvPage, count);
  }
  page_slots_.pin(pending->shape.pages);
  embedding_slots_.pin(pending->embedding_pins);
  pending->page_pins = pending->shape.pages;
  pending->instance = who.id;
  pending->number = who.instance->pass_count++;
  const sched::CommandId id = begin_command(queue, who);
  post(Submit{queue, id, std::move(pending)});
  forget(who.id, 1);
  return {};
}

}  // namespace pie::engine
