#include "sample/softmax.h"

#include <bit>
#include <cstdint>
#include <limits>

// Loops over a whole vocabulary, written so that the compiler vectorises them: fixed groups of
// kLanes independent values. Each is compiled twice, for the build's baseline and for AVX2 + FMA,
// and chosen at run time. The file is compiled with -fno-trapping-math (CMakeLists.txt), without
// which a selection by comparison does not vectorise; results are the same.

namespace pie::sample {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kPiece = 256;  // weights summed in float; the pieces are summed in double
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kNone = -std::numeric_limits<float>::infinity();

#define PIE_INLINE [[gnu::always_inline]] inline

PIE_INLINE float clean_one(float x) {
  const float capped = x <= kLargest ? x : kLargest;
  return x == x ? capped : kNone;
}

/// exp for x <= 0 by 2^n * p(r), |r| <= ln2/2, Taylor to degree 6 (error below 2e-7).
PIE_INLINE float exp_one(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float bounded = x > -87.0F ? x : -87.0F;
  const float n = (bounded * 1.44269504F + kRound) - kRound;
  const float r = (bounded - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  const float result = p * std::bit_cast<float>(exponent);
  return x > -87.0F ? result : 0.0F;
}

PIE_INLINE float weight_one(float max, float scale, float logit) {
  return exp_one((clean_one(logit) - max) * scale);
}

PIE_INLINE float max_body(const float* x, size_t count) {
  float best[kLanes];
  for (size_t j = 0; j < kLanes; ++j) best[j] = kNone;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
  }
  float result = kNone;
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
  for (size_t i = count; i % kLanes != 0; ++i) weights[i] = 0;
  float sum[kLanes] = {};
  for (size_t i = 0; i < count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) sum[j] += weights[i + j];
  }
  float result = 0;
  for (size_t j = 0; j < kLanes; ++j) result += sum[j];
  return result;
}

float max_baseline(const float* x, size_t count) { return max_body(x, count); }
float sum_baseline(const float* x, size_t count, float max, float scale, float least) {
  return sum_body(x, count, max, scale, least);
}

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] float max_avx2(const float* x, size_t count) {
  return max_body(x, count);
}
[[gnu::target("avx2,fma")]] float sum_avx2(const float* x, size_t count, float max, float scale,
                                           float least) {
  return sum_body(x, count, max, scale, least);
}
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
const auto kMax = has_avx2() ? max_avx2 : max_baseline;
const auto kSum = has_avx2() ? sum_avx2 : sum_baseline;
#else
constexpr auto kMax = max_baseline;
constexpr auto kSum = sum_baseline;
#endif

}  // namespace

float clean(float logit) { return clean_one(logit); }

float max_logit(std::span<const float> logits) {
  const float best = kMax(logits.data(), logits.size());
  return best <= kLargest ? best : kLargest;
}

float weight(const Softmax& softmax, float logit) {
  return weight_one(softmax.max, softmax.scale, logit);
}

double sum_weights(std::span<const float> logits, const Softmax& softmax, float least) {
  double sum = 0;
  for (size_t i = 0; i < logits.size(); i += kPiece) {
    const size_t count = logits.size() - i < kPiece ? logits.size() - i : kPiece;
    sum += kSum(logits.data() + i, count, softmax.max, softmax.scale, least);
  }
  return sum;
}

}  // namespace pie::sample
