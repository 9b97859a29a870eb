#include "sample/logit_rules.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "sample/vector_math.h"

namespace pie::sample {
namespace {

constexpr size_t kWordBits = 32;

/// Words of 32 tokens each; what a word forbids becomes -inf.
PIE_INLINE void mask_body(float* logits, const uint32_t* words, size_t word_count) {
  for (size_t w = 0; w < word_count; ++w) {
    const uint32_t word = words[w];
    float* group = logits + w * kWordBits;
    for (uint32_t j = 0; j < kWordBits; ++j)
      group[j] = ((word >> j) & 1U) != 0 ? group[j] : kNoLogit;
  }
}
void mask_baseline(float* logits, const uint32_t* words, size_t word_count) {
  mask_body(logits, words, word_count);
}
PIE_AVX2 void mask_avx2(float* logits, const uint32_t* words, size_t word_count) {
  mask_body(logits, words, word_count);
}
const auto kMask = has_avx2() ? mask_avx2 : mask_baseline;

/// However much is taken from a logit, only the mask forbids its token.
float at_least_finite(float logit) { return logit >= -kLargestLogit ? logit : -kLargestLogit; }

void apply_mask(const std::vector<uint32_t>& allowed, std::span<float> logits) {
  const size_t whole = std::min(allowed.size(), logits.size() / kWordBits);
  kMask(logits.data(), allowed.data(), whole);
  for (size_t i = whole * kWordBits; i < logits.size(); ++i) {
    const size_t word = i / kWordBits;
    if (word >= allowed.size() || ((allowed[word] >> (i % kWordBits)) & 1U) == 0)
      logits[i] = kNoLogit;
  }
}

}  // namespace

std::span<const float> LogitRules::apply(std::span<const float> logits,
                                         std::vector<float>& scratch) const {
  scratch.assign(logits.begin(), logits.end());
  for (const Penalty& one : penalties) {
    if (one.token >= scratch.size() || !(scratch[one.token] > kNoLogit)) continue;
    float& logit = scratch[one.token];
    logit = logit > 0 ? logit / one.divisor : logit * one.divisor;
    logit = at_least_finite(logit - one.subtrahend);
  }
  for (const auto& [token, value] : bias) {
    if (token >= scratch.size() || !(scratch[token] > kNoLogit)) continue;
    scratch[token] = at_least_finite(scratch[token] + value);
  }
  if (!allowed.empty()) apply_mask(allowed, scratch);
  return scratch;
}

bool LogitRules::allows(TokenId token) const {
  if (allowed.empty()) return true;
  const size_t word = token / kWordBits;
  return word < allowed.size() && ((allowed[word] >> (token % kWordBits)) & 1U) != 0;
}

bool LogitRules::allows_any(uint32_t vocab_size) const {
  if (allowed.empty()) return vocab_size > 0;
  const size_t whole = std::min<size_t>(allowed.size(), vocab_size / kWordBits);
  if (std::any_of(allowed.begin(), allowed.begin() + static_cast<ptrdiff_t>(whole),
                  [](uint32_t word) { return word != 0; }))
    return true;
  const uint32_t rest = vocab_size % kWordBits;
  return whole < allowed.size() && (allowed[whole] & ((uint32_t{1} << rest) - 1)) != 0;
}

}  // namespace pie::sample
