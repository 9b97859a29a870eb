#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

// What the loops over a whole vocabulary are made of, written so that the compiler vectorises them:
// fixed groups of kLanes independent values. Each loop is compiled twice, for the build's baseline
// and for AVX2 + FMA, and chosen at run time. Their files are compiled with -fno-trapping-math
// (CMakeLists.txt), without which a selection by comparison does not vectorise; results are the
// same.

#define PIE_INLINE [[gnu::always_inline]] inline

namespace pie::sample {

constexpr size_t kLanes = 16;
constexpr size_t kPiece = 256;  // logits looked at in floats; the pieces are summed in double
constexpr float kLargestLogit = std::numeric_limits<float>::max();
constexpr float kNoLogit = -std::numeric_limits<float>::infinity();

PIE_INLINE float clean_one(float x) {
  const float capped = x <= kLargestLogit ? x : kLargestLogit;
  return x == x ? capped : kNoLogit;
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

/// The sum of `count` values; those up to the next multiple of kLanes are overwritten.
PIE_INLINE float sum_lanes(float* values, size_t count) {
  for (size_t i = count; i % kLanes != 0; ++i) values[i] = 0;
  float sum[kLanes] = {};
  for (size_t i = 0; i < count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) sum[j] += values[i + j];
  }
  float result = 0;
  for (size_t j = 0; j < kLanes; ++j) result += sum[j];
  return result;
}

#if defined(__x86_64__)
#define PIE_AVX2 [[gnu::target("avx2,fma")]]
inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
#define PIE_AVX2
constexpr bool has_avx2() { return false; }
#endif

}  // namespace pie::sample
