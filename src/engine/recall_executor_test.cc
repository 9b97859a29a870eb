#include "engine/recall_executor.h"

#include <cstring>
#include <string>

#include "base/check.h"
#include "model/adapter.h"
#include "sample/random.h"

namespace pie::engine {

RecallExecutor::RecallExecutor(const exec::ExecutorConfig& config,
                               std::shared_ptr<RecallProbe> probe)
    : config_(config),
      probe_(std::move(probe)),
      slots_(size_t{config.page_count} * config.page_size, UINT32_MAX) {}

TokenId RecallExecutor::next_token(const std::vector<std::pair<uint32_t, TokenId>>& attended) {
  uint64_t hash = 1;
  for (const auto& [slot, token] : attended) {
    hash = sample::mix_bits(hash ^ (uint64_t{slot} << 32 | token));
  }
  return static_cast<TokenId>(hash % kVocab);
}

void RecallExecutor::clear_pages(std::span<const KvPageId> pages) {
  for (const KvPageId page : pages) {
    for (uint32_t i = 0; i < config_.page_size; ++i) slots_[page.value * config_.page_size + i] = 0;
  }
}

void RecallExecutor::copy_pages(std::span<const KvPageId> from, std::span<const KvPageId> to) {
  for (size_t p = 0; p < from.size(); ++p) {
    for (uint32_t i = 0; i < config_.page_size; ++i) {
      slots_[to[p].value * config_.page_size + i] = slots_[from[p].value * config_.page_size + i];
    }
  }
}

void RecallExecutor::read_page(KvPageId page, std::span<std::byte> bytes) const {
  PIE_CHECK(bytes.size() == page_bytes());
  std::memcpy(bytes.data(), &slots_[page.value * config_.page_size], bytes.size());
}

void RecallExecutor::write_page(KvPageId page, std::span<const std::byte> bytes) {
  PIE_CHECK(bytes.size() == page_bytes());
  std::memcpy(&slots_[page.value * config_.page_size], bytes.data(), bytes.size());
}

Result<std::string> RecallExecutor::layout_id() const {
  return "recall " + std::to_string(config_.page_size);
}

namespace {
bool attends(std::span<const exec::MaskRuns> mask, size_t row, uint32_t slot) {
  if (mask.empty()) return true;
  uint64_t end = 0;
  for (size_t run = 0; run < mask[row].size(); ++run) {
    end += mask[row][run];
    if (slot < end) return run % 2 == 0;
  }
  return false;
}
}  // namespace

void RecallExecutor::run_slice(const exec::StepSlice& slice, std::set<uint64_t>& written) {
  std::vector<TokenId> ids;
  for (const exec::StepToken& token : slice.tokens) {
    ids.push_back(token.embedding == nullptr ? token.id : static_cast<TokenId>(*token.embedding));
    // Under an adapter a token is another one.
    if (slice.adapter != nullptr)
      ids.back() += static_cast<TokenId>(slice.adapter->id % 1000 * kVocab);
  }
  const auto physical = [&](uint32_t slot) {
    PIE_CHECK(slot / config_.page_size < slice.pages.size());
    return uint64_t{slice.pages[slot / config_.page_size].value} * config_.page_size +
           slot % config_.page_size;
  };
  const bool cached = !slice.pages.empty();
  for (uint32_t i = 0; cached && i < ids.size(); ++i) {
    const uint64_t at = physical(slice.context_len + i);
    PIE_CHECK(written.insert(at).second);
    slots_[at] = ids[i];
  }
  const auto token_after = [&](uint32_t row) {
    std::vector<std::pair<uint32_t, TokenId>> attended;
    for (uint32_t slot = 0; slot <= slice.context_len + row; ++slot) {
      const TokenId id = cached ? slots_[physical(slot)] : ids[slot];
      PIE_CHECK(id != UINT32_MAX);  // a page that was never cleared
      if (attends(slice.mask, row, slot)) attended.emplace_back(slot, id);
    }
    return next_token(attended);
  };
  for (const uint32_t row : slice.logit_rows) {
    logits_.resize(logits_.size() + kVocab, 0.0F);
    logits_[logits_.size() - kVocab + token_after(row)] = 10.0F;
  }
  for (const uint32_t row : slice.hidden_rows) {
    hidden_.resize(hidden_.size() + kEmbedding, 0.0F);
    hidden_[hidden_.size() - kEmbedding] = static_cast<float>(token_after(row));
  }
}

Result<exec::StepOutput> RecallExecutor::execute(const exec::StepBatch& batch) {
  logits_.clear();
  hidden_.clear();
  bool fail = false;
  bool lacks_memory = false;
  {
    std::unique_lock lock(probe_->mutex);
    ++probe_->entered;
    probe_->changed.notify_all();
    probe_->changed.wait(lock, [&] { return !probe_->hold; });
    fail = std::exchange(probe_->fail_next, false);
    std::vector<uint32_t> counts;
    for (const exec::StepSlice& slice : batch.slices) {
      counts.push_back(static_cast<uint32_t>(slice.tokens.size()));
      probe_->first_tokens.push_back(slice.tokens.front().id);
      lacks_memory = lacks_memory || probe_->no_memory_for.contains(slice.tokens.front().id);
    }
    probe_->steps.push_back(std::move(counts));
  }
  if (probe_->during_step) probe_->during_step();
  if (lacks_memory) throw std::bad_alloc();
  if (fail) return Error{ErrorCode::kInternal, "[step] got a broken machine, expected a whole one"};
  std::set<uint64_t> written;
  for (const exec::StepSlice& slice : batch.slices) run_slice(slice, written);
  return exec::StepOutput{logits_, hidden_};
}

}  // namespace pie::engine
