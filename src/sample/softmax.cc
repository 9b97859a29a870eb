#include "sample/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sample/vector_math.h"

namespace pie::sample {
namespace {

PIE_INLINE float weight_one(float max, float scale, float logit) {
  return exp_one((clean_one(logit) - max) * scale);
}

PIE_INLINE float max_body(const float* x, size_t count) {
  float best[kLanes];
  for (size_t j = 0; j < kLanes; ++j) best[j] = kNoLogit;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
  }
  float result = kNoLogit;
  for (size_t j = 0; j < kLanes; ++j) result = best[j] > result ? best[j] : result;
  for (; i < count; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

PIE_INLINE float sum_body(const float* x, size_t count, float max, float scale, float least) {
  float weights[kPiece];
  for (size_t i = 0; i < count; ++i) {
    const float logit = clean_one(x[i]);
    const float w = exp_one((logit - max) * scale);
    weights[i] = logit >= least ? w : 0.0F;
  }
  return sum_lanes(weights, count);
}

/// The sum of weight * (max - logit) * scale, where what weighs nothing adds nothing.
PIE_INLINE float depth_body(const float* x, size_t count, float max, float scale) {
  float depths[kPiece];
  for (size_t i = 0; i < count; ++i) {
    const float exponent = (clean_one(x[i]) - max) * scale;
    const float w = exp_one(exponent);
    depths[i] = w > 0.0F ? -exponent * w : 0.0F;
  }
  return sum_lanes(depths, count);
}

float max_baseline(const float* x, size_t count) { return max_body(x, count); }
float sum_baseline(const float* x, size_t count, float max, float scale, float least) {
  return sum_body(x, count, max, scale, least);
}
float depth_baseline(const float* x, size_t count, float max, float scale) {
  return depth_body(x, count, max, scale);
}

PIE_AVX2 float max_avx2(const float* x, size_t count) { return max_body(x, count); }
PIE_AVX2 float sum_avx2(const float* x, size_t count, float max, float scale, float least) {
  return sum_body(x, count, max, scale, least);
}
PIE_AVX2 float depth_avx2(const float* x, size_t count, float max, float scale) {
  return depth_body(x, count, max, scale);
}
const auto kMax = has_avx2() ? max_avx2 : max_baseline;
const auto kSum = has_avx2() ? sum_avx2 : sum_baseline;
const auto kDepth = has_avx2() ? depth_avx2 : depth_baseline;

}  // namespace

float clean(float logit) { return clean_one(logit); }

float max_logit(std::span<const float> logits) {
  const float best = kMax(logits.data(), logits.size());
  return best <= kLargestLogit ? best : kLargestLogit;
}

float weight(const Softmax& softmax, float logit) {
  return weight_one(softmax.max, softmax.scale, logit);
}

float least_logit(const Softmax& softmax, float share) {
  constexpr float kLeast = std::numeric_limits<float>::lowest();
  if (!(share > 0.0F)) return kLeast;
  if (share >= 1.0F) return softmax.max;
  return std::max(kLeast, softmax.max + std::log(share) / softmax.scale);
}

double sum_weights(std::span<const float> logits, const Softmax& softmax, float least) {
  double sum = 0;
  for (size_t i = 0; i < logits.size(); i += kPiece) {
    const size_t count = logits.size() - i < kPiece ? logits.size() - i : kPiece;
    sum += kSum(logits.data() + i, count, softmax.max, softmax.scale, least);
  }
  return sum;
}

double sum_depths(std::span<const float> logits, const Softmax& softmax) {
  double sum = 0;
  for (size_t i = 0; i < logits.size(); i += kPiece) {
    const size_t count = logits.size() - i < kPiece ? logits.size() - i : kPiece;
    sum += kDepth(logits.data() + i, count, softmax.max, softmax.scale);
  }
  return sum;
}

}  // namespace pie::sample
