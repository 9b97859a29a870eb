#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/simd/inline.h"

namespace pie::kernels {
namespace {

/// The operations that kernels are templates over, in portable C++; simd/avx2.h and simd/avx512.h
/// have the same ones with the same results, bit for bit. README.md, "The SIMD layer", says what
/// each does. Loops stay out of line: kernels unroll everything, and nobody waits for this set.
struct Scalar {
  static constexpr int kFloatVectors = 2;
  struct F {
    float v[16];
  };
  struct I {
    int32_t v[16];
  };

  template <class Result, class Function>
  [[gnu::noinline]] static Result each(const Function& f) {
    Result r;
    for (int i = 0; i < 16; ++i) r.v[i] = f(i);
    return r;
  }

  // ---- floats
  PIE_INLINE static F set1(float x) {
    return each<F>([&](int) { return x; });
  }
  PIE_INLINE static F zero() { return set1(0.0F); }
  PIE_INLINE static F load(const float* p) {
    return each<F>([&](int i) { return p[i]; });
  }
  PIE_INLINE static F load_n(const float* p, int n) {
    return each<F>([&](int i) { return i < n ? p[i] : 0.0F; });
  }
  PIE_INLINE static void store(float* p, F a) { std::memcpy(p, a.v, sizeof a.v); }
  [[gnu::noinline]] static void store_n(float* p, F a, int n) {
    for (int i = 0; i < n && i < 16; ++i) p[i] = a.v[i];
  }
  PIE_INLINE static F add(F a, F b) {
    return each<F>([&](int i) { return a.v[i] + b.v[i]; });
  }
  PIE_INLINE static F sub(F a, F b) {
    return each<F>([&](int i) { return a.v[i] - b.v[i]; });
  }
  PIE_INLINE static F mul(F a, F b) {
    return each<F>([&](int i) { return a.v[i] * b.v[i]; });
  }
  PIE_INLINE static F div(F a, F b) {
    return each<F>([&](int i) { return a.v[i] / b.v[i]; });
  }
  PIE_INLINE static F fma(F a, F b, F c) {
    return each<F>([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
  }
  PIE_INLINE static F max(F a, F b) {
    return each<F>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  PIE_INLINE static F min(F a, F b) {
    return each<F>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  PIE_INLINE static F sqrt(F a) {
    return each<F>([&](int i) { return std::sqrt(a.v[i]); });
  }
  PIE_INLINE static F round(F a) {
    return each<F>([&](int i) { return std::nearbyint(a.v[i]); });
  }
  PIE_INLINE static F abs(F a) {
    return each<F>([&](int i) { return std::fabs(a.v[i]); });
  }
  PIE_INLINE static F copy_sign(F magnitude, F sign) {
    return each<F>([&](int i) { return std::copysign(magnitude.v[i], sign.v[i]); });
  }
  PIE_INLINE static F select_less(F a, F b, F yes, F no) {
    return each<F>([&](int i) { return a.v[i] < b.v[i] ? yes.v[i] : no.v[i]; });
  }
  PIE_INLINE static F times_power_of_2(F a, F n) {
    return each<F>([&](int i) {
      const uint32_t exponent = static_cast<uint32_t>(to_int(n.v[i])) + 127U;
      return a.v[i] * std::bit_cast<float>(exponent << 23);
    });
  }
  [[gnu::noinline]] static float reduce_add(F a) {
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    }
    return a.v[0];
  }
  PIE_INLINE static F load_twice(const float* p) {
    return each<F>([&](int i) { return p[i / 2]; });
  }
  PIE_INLINE static F swap_pairs(F a) {
    return each<F>([&](int i) { return a.v[i ^ 1]; });
  }
  PIE_INLINE static F negate_even(F a) {
    return each<F>([&](int i) { return i % 2 == 0 ? -a.v[i] : a.v[i]; });
  }
  PIE_INLINE static F negate(F a) {
    return each<F>([&](int i) { return -a.v[i]; });
  }

  PIE_INLINE static F select_bits(uint16_t mask, F yes, F no) {
    return each<F>([&](int i) { return (mask >> i & 1) != 0 ? yes.v[i] : no.v[i]; });
  }
  [[gnu::noinline]] static float reduce_max(F a) {
    for (int width = 8; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) a.v[i] = a.v[i] > a.v[i + width] ? a.v[i] : a.v[i + width];
    }
    return a.v[0];
  }

  // ---- conversions
  [[gnu::noinline]] static void store_f16(uint16_t* p, F a) {
    for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(a.v[i]);
  }
  PIE_INLINE static F load_f16(const uint16_t* p) {
    return each<F>([&](int i) { return f16_to_f32(p[i]); });
  }
  PIE_INLINE static F load_bf16(const uint16_t* p) {
    return each<F>([&](int i) { return bf16_to_f32(p[i]); });
  }
  PIE_INLINE static F load_u8(const uint8_t* p) {
    return each<F>([&](int i) { return static_cast<float>(p[i]); });
  }
  PIE_INLINE static F load_i8(const int8_t* p) {
    return each<F>([&](int i) { return static_cast<float>(p[i]); });
  }
  PIE_INLINE static F to_float(I a) {
    return each<F>([&](int i) { return static_cast<float>(a.v[i]); });
  }
  [[gnu::noinline]] static void store_i8(int8_t* p, F a) {
    for (int i = 0; i < 16; ++i) {
      const int32_t x = to_int(a.v[i]);
      p[i] = static_cast<int8_t>(x < -128 ? -128 : x > 127 ? 127 : x);
    }
  }
  PIE_INLINE static int32_t sum_i8(const int8_t* p) {
    int32_t sum = 0;
    for (int i = 0; i < 16; ++i) sum += p[i];
    return sum;
  }
  PIE_INLINE static I magnitude_bits(F a) {
    return each<I>(
        [&](int i) { return static_cast<int32_t>(std::bit_cast<uint32_t>(a.v[i]) & 0x7FFFFFFFU); });
  }
  PIE_INLINE static I max(I a, I b) {
    return each<I>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  [[gnu::noinline]] static int32_t reduce_max(I a) {
    int32_t most = a.v[0];
    for (int i = 1; i < 16; ++i) most = a.v[i] > most ? a.v[i] : most;
    return most;
  }

  PIE_INLINE static void prefetch(const std::byte*) {}

 private:
  /// Nearest, ties to even; what does not fit becomes the smallest integer, as cvtps2dq does.
  PIE_INLINE static int32_t to_int(float x) {
    const float rounded = std::nearbyint(x);
    if (!(rounded >= -0x1p31F && rounded < 0x1p31F)) return INT32_MIN;
    return static_cast<int32_t>(rounded);
  }
};

}  // namespace
}  // namespace pie::kernels
