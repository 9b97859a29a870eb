#include "engine/content.h"

#include <algorithm>

namespace pie::engine {
namespace {

void simplify(std::vector<uint32_t>& row, uint64_t slots) {
  std::vector<uint32_t> runs;
  uint64_t end = 0;
  for (size_t i = 0; i < row.size() && end < slots; ++i) {
    const auto run = static_cast<uint32_t>(std::min<uint64_t>(row[i], slots - end));
    end += run;
    const bool attends = i % 2 == 0;
    if (run == 0) continue;
    const bool follows = !runs.empty() && ((runs.size() - 1) % 2 == 0) == attends;
    if (follows) {
      runs.back() += run;
    } else {
      if (runs.empty() && !attends) runs.push_back(0);
      runs.push_back(run);
    }
  }
  if (runs.size() % 2 == 0 && !runs.empty()) runs.pop_back();
  if (runs.size() == 1 && runs[0] == 0) runs.clear();
  row = std::move(runs);
}

bool is_causal(const std::vector<uint32_t>& row, uint64_t slots) {
  return row.size() == 1 && row[0] == slots;
}

}  // namespace

void simplify_mask(ForwardPass& pass, uint32_t context_len) {
  if (!pass.mask) return;
  bool causal = true;
  for (size_t i = 0; i < pass.mask->size(); ++i) {
    std::vector<uint32_t>& row = (*pass.mask)[i];
    const uint64_t slots = uint64_t{context_len} + i + 1;
    simplify(row, slots);
    causal = causal && is_causal(row, slots);
  }
  if (causal) pass.mask.reset();
}

kv::PassContent content_of(const ForwardPass& pass, uint32_t context_len, uint32_t domain) {
  kv::PassContent content{.domain = domain, .words = {}, .ends = {}};
  const auto is_embedding = [](const PassInput& input) { return input.embedding_slot.has_value(); };
  if (domain == 0 || pass.pages.empty() || std::ranges::any_of(pass.inputs, is_embedding))
    return content;
  // An adapter stands before the mask, behind a word that no mask begins with.
  constexpr uint32_t kUnderAdapter = UINT32_MAX;
  content.words.reserve(pass.inputs.size() * (pass.adapter ? 6 : 3));
  content.ends.reserve(pass.inputs.size());
  for (size_t i = 0; i < pass.inputs.size(); ++i) {
    const PassInput& input = pass.inputs[i];
    const std::vector<uint32_t>* row = pass.mask ? &(*pass.mask)[i] : nullptr;
    if (row != nullptr && is_causal(*row, uint64_t{context_len} + i + 1)) row = nullptr;
    // No runs are the causal mask; a row that attends to nothing has one run of none.
    content.words.insert(content.words.end(), {input.token, input.position});
    if (pass.adapter) {
      const uint64_t id = pass.adapter->id;
      content.words.insert(content.words.end(), {kUnderAdapter, static_cast<uint32_t>(id),
                                                 static_cast<uint32_t>(id >> 32)});
    }
    if (row == nullptr) {
      content.words.push_back(0);
    } else if (row->empty()) {
      content.words.insert(content.words.end(), {1, 0});
    } else {
      content.words.push_back(static_cast<uint32_t>(row->size()));
      content.words.insert(content.words.end(), row->begin(), row->end());
    }
    content.ends.push_back(static_cast<uint32_t>(content.words.size()));
  }
  return content;
}

}  // namespace pie::engine
