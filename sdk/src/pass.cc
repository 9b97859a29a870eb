// Context: the pass that a step gives to the model.
#include <algorithm>
#include <utility>

#include "pie/context.h"

namespace inferlet {
namespace {

/// Appends one slot to a mask row of alternating runs, attend first.
void extend_runs(std::vector<uint32_t>& runs, bool masked) {
  // Runs at even indices attend; the last run's index is size() - 1.
  const bool last_is_masked = runs.size() % 2 == 0;
  if (!runs.empty() && last_is_masked == masked) {
    ++runs.back();
    return;
  }
  if (runs.empty() && masked) runs.push_back(0);
  runs.push_back(1);
}

/// Whether `node` of a draft follows `other`.
bool follows(const Draft& draft, size_t node, size_t other) {
  auto at = static_cast<int32_t>(node);
  while (at > static_cast<int32_t>(other)) at = draft.parent(static_cast<size_t>(at));
  return at == static_cast<int32_t>(other);
}

uint32_t depth(const Draft& draft, size_t node) {
  uint32_t count = 0;
  for (auto at = static_cast<int32_t>(node); at >= 0; ++count)
    at = draft.parent(static_cast<size_t>(at));
  return count;
}

}  // namespace

/// Asks the next pass for what the sampler needs of the last pending token and of those of the
/// draft.
Result<void> Context::request(const Sampler& sampler, const Draft& draft) {
  // They keep their memory from one step to the next.
  static std::vector<uint32_t> rows, last;
  rows.clear();
  for (size_t i = 0; i <= draft.tokens.size(); ++i)
    rows.push_back(static_cast<uint32_t>(pending_.size() - 1 + i));
  if (!sampler.looks_back()) return sampler.request(pass_, rows);
  for (size_t row = 0; row < rows.size(); ++row) {
    last.clear();
    auto at = static_cast<int32_t>(row) - 1;
    for (; at >= 0; at = draft.parent(static_cast<size_t>(at)))
      last.push_back(draft.tokens[static_cast<size_t>(at)]);
    const size_t position = next_position_ + last.size();
    const size_t looked_at = std::min(sampler.history_size(), size() + last.size());
    for (size_t i = size(); i-- > 0 && last.size() < looked_at;)
      last.push_back((i < slots_.size() ? slots_[i] : pending_[i - slots_.size()]).token);
    last.resize(looked_at);
    std::ranges::reverse(last);
    auto requested = sampler.request(pass_, std::span(rows).subspan(row, 1),
                                     TokenHistory{.position = position, .tokens = last});
    if (!requested) return requested;
  }
  return {};
}

/// Pages for so many slots.
void Context::take_pages(size_t slots) {
  const size_t page_size = shared_->pages->page_size();
  const size_t page_count = (slots + page_size - 1) / page_size;
  if (page_count <= pages_.size()) return;
  for (auto& page : shared_->pages->take(page_count - pages_.size())) {
    page_numbers_.push_back(page->number());
    pages_.push_back(std::move(page));
  }
}

std::optional<PassResult> Context::submit(const Draft& draft) {
  for (size_t i = 0; i < draft.tokens.size(); ++i)
    pending_.push_back({draft.tokens[i], next_position_ - 1 + depth(draft, i), false});
  const size_t total = slots_.size() + pending_.size();
  take_pages(total);
  // They keep their memory from one step to the next.
  static std::vector<uint32_t> tokens, positions;
  tokens.clear();
  positions.clear();
  for (const Slot& slot : pending_) {
    tokens.push_back(slot.token);
    positions.push_back(slot.position);
  }
  pass_.kv_cache(page_numbers_, total - (pages_.size() - 1) * shared_->pages->page_size());
  pass_.input_tokens(tokens, positions);
  if (has_masked_ || window_ || draft.is_tree()) pass_.attention_mask(mask_rows(draft));
  if (adapter_) adapter_->set(pass_, adapter_seed_);
  std::optional<PassResult> result = pass_.execute();
  slots_.insert(slots_.end(), pending_.begin(), pending_.end());
  pending_.clear();
  guessed_ = draft.tokens.size();
  return result;
}

/// Of what comes before it the token in slot `row` attends to the rest.
bool Context::is_outside_window(size_t slot, size_t row) const {
  return window_ && slot >= window_->sink && slot + window_->length <= row;
}

/// Gives back the pages that no later token attends to.
void Context::leave_window() {
  if (!window_ || slots_.size() <= window_->length) return;
  const size_t end = slots_.size() - window_->length;
  drop_pages([&](size_t slot) { return slot >= window_->sink && slot < end; });
}

/// What later tokens attend to of the computed ones, as a mask row has it.
std::vector<uint32_t> Context::slot_runs() const {
  std::vector<uint32_t> runs;
  for (const Slot& slot : slots_) extend_runs(runs, slot.masked);
  return runs;
}

std::vector<std::vector<uint32_t>> Context::mask_rows(const Draft& draft) const {
  const size_t first = pending_.size() - draft.tokens.size();
  std::vector<std::vector<uint32_t>> rows;
  rows.reserve(pending_.size());
  if (window_) {
    const size_t draft_begin = slots_.size() + first;
    // Where a token of a branch is when the branch is all that there is.
    const auto place = [&](size_t slot) {
      return slot < draft_begin ? slot : draft_begin + depth(draft, slot - draft_begin) - 1;
    };
    for (size_t row = slots_.size(); row < slots_.size() + pending_.size(); ++row) {
      rows.emplace_back();
      for (size_t slot = 0; slot < row; ++slot) {
        const bool masked =
            slot < slots_.size() ? slots_[slot].masked : pending_[slot - slots_.size()].masked;
        const bool is_beside =
            slot >= draft_begin && !follows(draft, row - draft_begin, slot - draft_begin);
        extend_runs(rows.back(), masked || is_beside || is_outside_window(place(slot), place(row)));
      }
      extend_runs(rows.back(), false);
    }
    return rows;
  }
  std::vector<uint32_t> runs = slot_runs();
  for (size_t i = 0; i < first; ++i) {
    rows.push_back(runs);
    extend_runs(rows.back(), false);  // a token always attends to itself
    extend_runs(runs, pending_[i].masked);
  }
  for (size_t i = 0; i < draft.tokens.size(); ++i) {
    rows.push_back(runs);
    for (size_t other = 0; other < i; ++other) extend_runs(rows.back(), !follows(draft, i, other));
    extend_runs(rows.back(), false);
  }
  return rows;
}

}  // namespace inferlet
