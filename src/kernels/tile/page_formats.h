#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/simd/inline.h"

// How elements of a page are read and written, over a SIMD type S. A format P has
//   kElementBytes, kIsScaled;
//   load(p): sixteen elements as f32, without their scale;
//   Rounding rounding(x, count): what encode() needs to know of all elements of a head;
//   encode(p, x, rounding): sixteen elements from f32.
namespace pie::kernels {
namespace {

/// Sixteen floats from `from` on, of which `count` are there; zeros behind.
template <class S>
PIE_INLINE typename S::F load_up_to(const float* from, uint32_t count) {
  return count >= 16 ? S::load(from) : S::load_n(from, static_cast<int>(count));
}

/// Within [-limit, limit]; NaN becomes -limit.
template <class S>
PIE_INLINE typename S::F as_finite(typename S::F x, float limit) {
  return S::min(S::max(x, S::set1(-limit)), S::set1(limit));
}

constexpr float kHalfMax = 65504.0F;

template <class S>
struct F16Page {
  static constexpr size_t kElementBytes = 2;
  static constexpr bool kIsScaled = false;
  struct Rounding {};

  PIE_INLINE static typename S::F load(const std::byte* p) {
    return S::load_f16(reinterpret_cast<const uint16_t*>(p));
  }
  PIE_INLINE static Rounding rounding(const float*, uint32_t) { return {}; }
  PIE_INLINE static void encode(std::byte* p, typename S::F x, Rounding) {
    S::store_f16(reinterpret_cast<uint16_t*>(p), as_finite<S>(x, kHalfMax));
  }
};

template <class S>
struct Bf16Page {
  static constexpr size_t kElementBytes = 2;
  static constexpr bool kIsScaled = false;
  static constexpr float kLargest = 0x1.FEp127F;
  struct Rounding {};

  PIE_INLINE static typename S::F load(const std::byte* p) {
    return S::load_bf16(reinterpret_cast<const uint16_t*>(p));
  }
  PIE_INLINE static Rounding rounding(const float*, uint32_t) { return {}; }
  PIE_INLINE static void encode(std::byte* p, typename S::F x, Rounding) {
    uint32_t bits[16];
    float finite[16];
    S::store(finite, as_finite<S>(x, kLargest));
    __builtin_memcpy(bits, finite, sizeof bits);
    auto* to = reinterpret_cast<uint16_t*>(p);
    for (int i = 0; i < 16; ++i) {
      to[i] = static_cast<uint16_t>((bits[i] + 0x7FFFU + (bits[i] >> 16 & 1U)) >> 16);
    }
  }
};

/// d = largest / 127, q = x * (127 / largest) rounded; zeros where the largest is below 2^-120.
template <class S>
struct Q8Page {
  static constexpr size_t kElementBytes = 1;
  static constexpr bool kIsScaled = true;
  static constexpr float kLeast = 0x1p-120F;
  struct Rounding {
    float scale, inverse;
  };

  PIE_INLINE static typename S::F load(const std::byte* p) {
    return S::load_i8(reinterpret_cast<const int8_t*>(p));
  }
  PIE_INLINE static Rounding rounding(const float* x, uint32_t count) {
    typename S::F most = S::zero();
    for (uint32_t i = 0; i < count; i += 16) {
      most = S::max(S::abs(as_finite<S>(load_up_to<S>(x + i, count - i), kHalfMax)), most);
    }
    const float largest = S::reduce_max(most);
    if (largest < kLeast) return {0.0F, 0.0F};
    return {largest * (1.0F / 127.0F), 127.0F / largest};
  }
  PIE_INLINE static void encode(std::byte* p, typename S::F x, Rounding r) {
    S::store_i8(reinterpret_cast<int8_t*>(p),
                S::mul(as_finite<S>(x, kHalfMax), S::set1(r.inverse)));
  }
};

}  // namespace
}  // namespace pie::kernels
