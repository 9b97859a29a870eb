#include "sample/candidates.h"

#include <algorithm>

namespace pie::sample {

void Candidates::select(std::span<const float> logits, uint32_t k) {
  all_.clear();
  if (k == 0) return;
  const size_t limit = 2 * size_t{k} + 64;
  bool full = false;
  float bar = 0;  // when full: only what is above it can be among the k best
  const auto keep_best = [&] {
    std::nth_element(all_.begin(), all_.begin() + (k - 1), all_.end());
    all_.resize(k);
    bar = all_.back().logit;
    full = true;
  };
  for (size_t begin = 0; begin < logits.size(); begin += kRowBlock) {
    const std::span<const float> block = block_of(logits, begin);
    if (full && max_logit(block) <= bar) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      const float logit = clean(block[i]);
      if (full && logit <= bar) continue;
      all_.push_back({logit, static_cast<TokenId>(begin + i)});
    }
    if (all_.size() >= limit || (!full && all_.size() > k)) keep_best();
  }
  if (all_.size() > k) keep_best();
  std::sort(all_.begin(), all_.end());
}

size_t Candidates::count_to_mass(const Softmax& softmax, double mass) const {
  double sum = 0;
  for (size_t i = 0; i < all_.size(); ++i) {
    sum += weight(softmax, all_[i].logit);
    if (sum >= mass) return i + 1;
  }
  return all_.size() + 1;
}

size_t Candidates::nucleus_of_all(std::span<const float> logits, const Softmax& softmax,
                                  double mass) {
  // A quickselect by weight: [0, begin) is in the nucleus, [end, ...) is not.
  all_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    all_[i] = {clean(logits[i]), static_cast<TokenId>(i)};
  }
  size_t begin = 0;
  size_t end = all_.size();
  double sum = 0;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto first = all_.begin();
    std::nth_element(first + static_cast<ptrdiff_t>(begin), first + static_cast<ptrdiff_t>(middle),
                     first + static_cast<ptrdiff_t>(end));
    double upper = 0;
    for (size_t i = begin; i < middle; ++i) upper += weight(softmax, all_[i].logit);
    if (sum + upper >= mass) {
      end = middle;
    } else {
      begin = middle;
      sum += upper;
    }
  }
  return end;
}

bool Candidates::gather(std::span<const float> logits, float bar, size_t count_max) {
  all_.clear();
  for (size_t block = 0; block < maxima_.size(); ++block) {
    if (maxima_[block] < bar) continue;
    const size_t begin = block * kRowBlock;
    const std::span<const float> some = block_of(logits, begin);
    for (size_t i = 0; i < some.size(); ++i) {
      const float logit = clean(some[i]);
      if (logit >= bar) all_.push_back({logit, static_cast<TokenId>(begin + i)});
    }
    if (all_.size() > count_max) return false;
  }
  return true;
}

std::optional<size_t> Candidates::nucleus_of_few(std::span<const float> logits,
                                                 const Softmax& softmax, double mass) {
  constexpr size_t kFew = 4096;
  maxima_.clear();
  for (size_t begin = 0; begin < logits.size(); begin += kRowBlock)
    maxima_.push_back(max_logit(block_of(logits, begin)));
  for (const float lightest : {1e-1F, 1e-2F, 1e-3F, 1e-5F}) {  // of the weights that are looked at
    if (!gather(logits, least_logit(softmax, lightest), kFew)) return std::nullopt;
    double sum = 0;
    for (const Candidate& c : all_) sum += weight(softmax, c.logit);
    if (sum < mass) continue;
    std::sort(all_.begin(), all_.end());
    return std::min(count_to_mass(softmax, mass), all_.size());
  }
  return std::nullopt;
}

}  // namespace pie::sample
