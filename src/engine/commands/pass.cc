// Forward passes: from a program to the scheduler, and what becomes of them.
#include "engine/commands/pass.h"

#include <algorithm>

#include "engine/commands/check_pass.h"
#include "engine/content.h"
#include "engine/local_engine.h"

namespace pie::engine {
namespace {

std::vector<uint32_t> unique_rows(std::vector<uint32_t> rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

/// What is asked of the pass, and room for the answers.
void take_outputs(ForwardPass& pass, PassCommand& pending) {
  ForwardOutput& output = pending.output;
  output.tokens.resize(pass.tokens.size());
  output.distributions.resize(pass.distributions.size());
  output.details.resize(
      static_cast<size_t>(std::count_if(pass.tokens.begin(), pass.tokens.end(),
                                        [](const TokenSlot& slot) { return slot.wants_details; })));
  output.logits.resize(pass.logits.size());
  output.scores.resize(pass.scores.size());
  output.entropies.resize(pass.entropies.size());
  pending.token_slots = std::move(pass.tokens);
  pending.distribution_slots = std::move(pass.distributions);
  std::erase_if(pass.rules,
                [](const RowRules& one) { return one.rules == nullptr || one.rules->is_empty(); });
  std::sort(pass.rules.begin(), pass.rules.end(),
            [](const RowRules& a, const RowRules& b) { return a.index < b.index; });
  pending.rules = std::move(pass.rules);
  pending.logit_slots = std::move(pass.logits);
  pending.score_slots = std::move(pass.scores);
  pending.entropy_rows = std::move(pass.entropies);
}

/// What the engine needs of a pass that is checked, all but its pointers. Inputs, pages and
/// embedding outputs stay in `pass`. `domain`: who may share what it computes.
std::unique_ptr<PassCommand> make_pass(ForwardPass& pass, ForwardCallback done,
                                       const EngineLimits& limits, uint32_t domain) {
  auto pending = std::make_unique<PassCommand>();
  pending->shape.token_count = static_cast<uint32_t>(pass.inputs.size());
  if (!pass.pages.empty()) {
    const auto length =
        static_cast<uint32_t>((pass.pages.size() - 1) * limits.page_size + pass.last_page_len);
    pending->shape.context_len = length - pending->shape.token_count;
  }
  pending->tokens.reserve(pass.inputs.size());
  for (const PassInput& input : pass.inputs) {
    pending->tokens.push_back({.id = input.token, .position = input.position});
  }
  pending->adapter = pass.adapter;
  simplify_mask(pass, pending->shape.context_len);
  pending->shape.content = content_of(pass, pending->shape.context_len, domain);
  if (pass.mask) pending->mask = std::move(*pass.mask);
  std::vector<uint32_t> rows;
  for (const TokenSlot& slot : pass.tokens) rows.push_back(slot.index);
  for (const DistributionSlot& slot : pass.distributions) rows.push_back(slot.index);
  for (const LogitSlot& slot : pass.logits) rows.push_back(slot.index);
  for (const ScoreSlot& slot : pass.scores) rows.push_back(slot.index);
  rows.insert(rows.end(), pass.entropies.begin(), pass.entropies.end());
  pending->logit_rows = unique_rows(std::move(rows));
  rows = {};
  for (const EmbeddingOutput& output : pass.embeddings) rows.push_back(output.index);
  pending->hidden_rows = unique_rows(std::move(rows));
  pending->shape.must_compute = pending->shape.token_count;
  for (const auto* asked : {&pending->logit_rows, &pending->hidden_rows}) {
    if (!asked->empty())
      pending->shape.must_compute = std::min(pending->shape.must_compute, asked->front());
  }
  take_outputs(pass, *pending);
  pending->done = std::move(done);
  return pending;
}

/// Looks up the pass's pointers.
Result<void> resolve(const kv::PointerTable& pages, const kv::PointerTable& embeddings,
                     const ForwardPass& pass, PassCommand& pending) {
  pending.shape.pages.reserve(pass.pages.size());
  for (const VirtualPage page : pass.pages) {
    const auto slot = pages.find(page.value);
    if (!slot) return unmapped_error("execute", "KV page", page.value);
    pending.shape.pages.push_back(*slot);
  }
  for (size_t i = 0; i < pass.inputs.size(); ++i) {
    const auto& pointer = pass.inputs[i].embedding_slot;
    if (!pointer) continue;
    const auto slot = embeddings.find(*pointer);
    if (!slot) return unmapped_error("execute", "embedding", *pointer);
    pending.input_slots.resize(pass.inputs.size());
    pending.input_slots[i] = *slot;
    pending.embedding_pins.push_back(*slot);
  }
  for (const EmbeddingOutput& output : pass.embeddings) {
    const auto slot = embeddings.find(output.slot);
    if (!slot) return unmapped_error("execute", "embedding", output.slot);
    pending.embedding_targets.push_back({output.index, *slot});
    pending.embedding_pins.push_back(*slot);
  }
  pending.shape.after_earlier_only = !pending.embedding_pins.empty();
  return {};
}

}  // namespace

Result<void> LocalEngine::submit(QueueId queue, ForwardPass pass, ForwardCallback done) {
  constexpr std::string_view kCall = "execute";
  constexpr ResourceType kPages = ResourceType::kKvPage;
  PIE_TRY(check_pass(pass, limits_));
  uint32_t domain = 0;
  {
    const std::lock_guard lock(mutex_);
    PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
    domain = who.instance->domain;
  }
  std::unique_ptr<PassCommand> pending = make_pass(pass, std::move(done), limits_, domain);
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  PIE_TRY(resolve(who.instance->pages, who.instance->embeddings, pass, *pending));
  PIE_TRY(admit_command(kCall, who));
  const uint32_t tokens = pending->shape.token_count;
  pending->has_temporary_pages = pass.pages.empty() && tokens > limits_.step_tokens_max;
  if (pending->has_temporary_pages) {
    const uint64_t count = (uint64_t{tokens} + limits_.page_size - 1) / limits_.page_size;
    PIE_TRY(admit_slots(kCall, *who.instance, kPages, count, SlotHolder::kInstance));
    pending->shape.pages = take_slots(who.instance->page_account, kPages, count);
  }
  page_slots_.pin(pending->shape.pages);
  embedding_slots_.pin(pending->embedding_pins);
  pending->page_pins = pending->shape.pages;
  pending->number = who.instance->pass_count++;
  post_command(who, std::move(pending));
  inbox_.forget(who.id, 1);
  return {};
}

void PassCommand::begin(LoopState& loop) {
  loop.embeddings.pin(embedding_pins);
  loop.scheduler.push_pass(queue, id, std::move(shape));
  if (!has_temporary_pages) return;
  for (const kv::SlotId slot : page_pins)
    loop.pages.release(slot);  // the pass pins them: its alone
}

void PassCommand::let_go(LoopState& loop) const {
  loop.unpin(ResourceType::kKvPage, page_pins);
  loop.unpin(ResourceType::kEmbedding, embedding_pins);
}

void PassCommand::answer(LoopState& loop, Result<ForwardOutput> result) const {
  loop.engine.retire(instance);
  if (done) done(std::move(result));
}

Command::Completion PassCommand::complete(LoopState& loop) {
  let_go(loop);
  answer(loop, ForwardOutput{});
  return Completion::kDone;
}

void PassCommand::cancel(LoopState& loop, Cancelled why) {
  let_go(loop);
  answer(loop, cancelled_error("execute", why));
}

std::unique_ptr<PassCommand> end_pass(LoopState& loop, sched::CommandId id) {
  return std::unique_ptr<PassCommand>(static_cast<PassCommand*>(loop.end(id).release()));
}

}  // namespace pie::engine
