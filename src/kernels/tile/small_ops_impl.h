#pragma once
#include "kernels/simd/math.h"
#include "kernels/small_ops.h"
#include "kernels/tile/pack_activations.h"

namespace pie::kernels {
namespace {

/// Calls f(offset, count) for each 16 values of n, the last time with fewer.
template <class Function>
PIE_INLINE void each_vector(uint32_t n, const Function& f) {
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) f(i, Index<16>());
  if (i < n) f(i, static_cast<int>(n - i));
}

template <class S>
PIE_INLINE typename S::F load_some(const float* p, Index<16>) {
  return S::load(p);
}
template <class S>
PIE_INLINE typename S::F load_some(const float* p, int n) {
  return S::load_n(p, n);
}
template <class S>
PIE_INLINE void store_some(float* p, typename S::F a, Index<16>) {
  S::store(p, a);
}
template <class S>
PIE_INLINE void store_some(float* p, typename S::F a, int n) {
  S::store_n(p, a, n);
}

/// 1 / sqrt(mean of squares + epsilon). Two chains of 16 lanes, then a tree.
template <class S>
PIE_INLINE float inverse_rms(const float* x, float epsilon, uint32_t n) {
  auto even = S::zero();
  auto odd = S::zero();
  uint32_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const auto a = S::load(x + i);
    const auto b = S::load(x + i + 16);
    even = S::fma(a, a, even);
    odd = S::fma(b, b, odd);
  }
  for (; i < n; i += 16) {
    const auto a = S::load_n(x + i, n - i < 16 ? static_cast<int>(n - i) : 16);
    even = S::fma(a, a, even);
  }
  const float mean = S::reduce_add(S::add(even, odd)) / static_cast<float>(n);
  return 1.0F / __builtin_sqrtf(mean + epsilon);
}

template <class S>
void rms_norm_row(const float* x, const float* weight, float epsilon, uint32_t n, float* y) {
  const auto factor = S::set1(inverse_rms<S>(x, epsilon, n));
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    const auto normed = S::mul(load_some<S>(x + i, count), factor);
    store_some<S>(y + i, S::mul(normed, load_some<S>(weight + i, count)), count);
  });
}

template <class S>
void rms_norm_pack_tokens(const Activations& out, const float* x, size_t stride,
                          const float* weight, float epsilon, uint32_t begin, uint32_t end) {
  for (uint32_t t = begin; t < end; ++t) {
    const float* row = x + t * stride;
    const auto factor = S::set1(inverse_rms<S>(row, epsilon, out.k));
    TokenSlot slot = token_slot(out.data, out.token_count, out.k, t);
    for (uint32_t i = 0; i < out.k; i += kGroupValues) {
      const auto low = S::mul(S::mul(S::load(row + i), factor), S::load(weight + i));
      const auto high = S::mul(S::mul(S::load(row + i + 16), factor), S::load(weight + i + 16));
      quantize_group<S>(low, high, slot);
      slot.q += slot.group_bytes;
      slot.numbers += slot.group_bytes;
    }
  }
}

template <class S>
PIE_INLINE void rope_adjacent(uint32_t rotated, const float* cosines, const float* sines,
                              float* x) {
  uint32_t i = 0;
  for (; i + 16 <= rotated; i += 16) {
    const auto a = S::load(x + i);
    const auto turned = S::mul(S::swap_pairs(a), S::load_twice(sines + i / 2));
    S::store(x + i, S::fma(a, S::load_twice(cosines + i / 2), S::negate_even(turned)));
  }
  for (; i < rotated; i += 2) {
    const float a = x[i];
    const float b = x[i + 1];
    const float c = cosines[i / 2];
    const float s = sines[i / 2];
    x[i] = __builtin_fmaf(a, c, -(b * s));
    x[i + 1] = __builtin_fmaf(b, c, a * s);
  }
}

template <class S>
PIE_INLINE void rope_halves(uint32_t rotated, const float* cosines, const float* sines, float* x) {
  const uint32_t half = rotated / 2;
  float* y = x + half;
  each_vector(half, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    const auto a = load_some<S>(x + i, count);
    const auto b = load_some<S>(y + i, count);
    const auto c = load_some<S>(cosines + i, count);
    const auto s = load_some<S>(sines + i, count);
    store_some<S>(x + i, S::fma(a, c, S::negate(S::mul(b, s))), count);
    store_some<S>(y + i, S::fma(b, c, S::mul(a, s)), count);
  });
}

template <class S>
void rope_heads(const RopeShape& shape, const float* cosines, const float* sines, float* x) {
  for (uint32_t h = 0; h < shape.head_count; ++h, x += shape.head_size) {
    if (shape.pairing == RopePairing::kAdjacent) {
      rope_adjacent<S>(shape.rotated, cosines, sines, x);
    } else {
      rope_halves<S>(shape.rotated, cosines, sines, x);
    }
  }
}

template <class S>
void add_rows(const float* x, uint32_t n, float* y) {
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    store_some<S>(y + i, S::add(load_some<S>(y + i, count), load_some<S>(x + i, count)), count);
  });
}

template <class S>
void scale_row(const float* x, float factor, uint32_t n, float* y) {
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    store_some<S>(y + i, S::mul(load_some<S>(x + i, count), S::set1(factor)), count);
  });
}

template <class S>
void soft_cap_row(const float* x, float cap, uint32_t n, float* y) {
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    const auto t = tanh<S>(S::div(load_some<S>(x + i, count), S::set1(cap)));
    store_some<S>(y + i, S::mul(t, S::set1(cap)), count);
  });
}

template <class S>
void silu_mul_row(const float* gate, const float* up, uint32_t n, float* y) {
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    const auto act = silu<S>(load_some<S>(gate + i, count));
    store_some<S>(y + i, S::mul(act, load_some<S>(up + i, count)), count);
  });
}

template <class S>
void gelu_mul_row(const float* gate, const float* up, uint32_t n, float* y) {
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    const auto act = gelu<S>(load_some<S>(gate + i, count));
    store_some<S>(y + i, S::mul(act, load_some<S>(up + i, count)), count);
  });
}

template <class S>
void exp_row(const float* x, uint32_t n, float* y) {
  each_vector(n, [&](uint32_t i, auto count) PIE_INLINE_LAMBDA {
    store_some<S>(y + i, exp<S>(load_some<S>(x + i, count)), count);
  });
}

}  // namespace
}  // namespace pie::kernels
