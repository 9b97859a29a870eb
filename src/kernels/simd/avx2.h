#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/simd/inline.h"

namespace pie::kernels {
namespace {

/// The operations of simd/scalar.h with AVX2, FMA and F16C: a vector is two registers.
struct Avx2 {
  static constexpr int kHalvesAtOnce = 1;
  static constexpr int kPeakDots = 5;
  static constexpr int kFloatVectors = 8;
  struct F {
    __m256 a, b;
  };
  struct I {
    __m256i a, b;
  };
  struct Quads {
    __m256i a, b;
  };
  using Quad = __m256i;

  // ---- floats
  PIE_INLINE static F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  PIE_INLINE static F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  PIE_INLINE static F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  PIE_INLINE static F load_n(const float* p, int n) {
    if (n >= 16) return load(p);
    const I mask = first_lanes(n);
    return {_mm256_maskload_ps(p, mask.a), _mm256_maskload_ps(p + 8, mask.b)};
  }
  PIE_INLINE static void store(float* p, F x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
  }
  PIE_INLINE static void store_n(float* p, F x, int n) {
    if (n >= 16) return store(p, x);
    const I mask = first_lanes(n);
    _mm256_maskstore_ps(p, mask.a, x.a);
    _mm256_maskstore_ps(p + 8, mask.b, x.b);
  }
  PIE_INLINE static F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  PIE_INLINE static F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
  PIE_INLINE static F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  PIE_INLINE static F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
  PIE_INLINE static F fma(F x, F y, F z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
  }
  PIE_INLINE static F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
  PIE_INLINE static F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  PIE_INLINE static F sqrt(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
  PIE_INLINE static F round(F x) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
  }
  PIE_INLINE static F abs(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
  }
  PIE_INLINE static F copy_sign(F magnitude, F x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    const F positive = abs(magnitude);
    return {_mm256_or_ps(positive.a, _mm256_and_ps(sign, x.a)),
            _mm256_or_ps(positive.b, _mm256_and_ps(sign, x.b))};
  }
  PIE_INLINE static F select_less(F x, F y, F yes, F no) {
    return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
            _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
  }
  PIE_INLINE static F times_power_of_2(F x, F n) {
    return {_mm256_mul_ps(x.a, power_of_2(n.a)), _mm256_mul_ps(x.b, power_of_2(n.b))};
  }
  PIE_INLINE static float reduce_add(F x) {
    const __m256 eight = _mm256_add_ps(x.a, x.b);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  PIE_INLINE static F load_twice(const float* p) {
    return {twice(_mm_loadu_ps(p)), twice(_mm_loadu_ps(p + 4))};
  }
  PIE_INLINE static F swap_pairs(F x) {
    return {_mm256_permute_ps(x.a, 0xB1), _mm256_permute_ps(x.b, 0xB1)};
  }
  PIE_INLINE static F negate_even(F x) {
    const __m256 signs = _mm256_setr_ps(-0.0F, 0, -0.0F, 0, -0.0F, 0, -0.0F, 0);
    return {_mm256_xor_ps(x.a, signs), _mm256_xor_ps(x.b, signs)};
  }
  PIE_INLINE static F negate(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign)};
  }

  PIE_INLINE static F select_bits(uint16_t mask, F yes, F no) {
    return {_mm256_blendv_ps(no.a, yes.a, lanes_of(mask & 255)),
            _mm256_blendv_ps(no.b, yes.b, lanes_of(mask >> 8))};
  }
  PIE_INLINE static float reduce_max(F x) {
    const __m256 eight = _mm256_max_ps(x.a, x.b);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  // ---- conversions
  PIE_INLINE static void store_f16(uint16_t* p, F x) {
    auto* to = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(to, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(to + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
  }
  PIE_INLINE static F load_f16(const uint16_t* p) {
    return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 8))};
  }
  PIE_INLINE static F load_bf16(const uint16_t* p) {
    return {widen_bf16(load_128(p)), widen_bf16(load_128(p + 8))};
  }
  PIE_INLINE static F load_u8(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_64(p))),
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_64(p + 8)))};
  }
  PIE_INLINE static F load_i8(const int8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_64(p))),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_64(p + 8)))};
  }
  PIE_INLINE static F to_float(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
  PIE_INLINE static void store_i8(int8_t* p, F x) {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a),
                                             _mm256_cvtps_epi32(x.b));  // a0-3 b0-3 a4-7 b4-7
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }
  /// Of 16: with their signs flipped they are unsigned, 128 more each.
  PIE_INLINE static int32_t sum_i8(const int8_t* p) {
    const __m128i more = _mm_xor_si128(load_128(p), _mm_set1_epi8(-128));
    const __m128i sums = _mm_sad_epu8(more, _mm_setzero_si128());
    return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 16 * 128;
  }
  PIE_INLINE static I magnitude_bits(F x) {
    const F positive = abs(x);
    return {_mm256_castps_si256(positive.a), _mm256_castps_si256(positive.b)};
  }
  PIE_INLINE static I max(I x, I y) {
    return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)};
  }
  PIE_INLINE static int32_t reduce_max(I x) {
    const __m256i eight = _mm256_max_epi32(x.a, x.b);
    const __m128i four =
        _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
  }

  // ---- products of quads
  PIE_INLINE static Quads load_quads(const uint8_t* p) { return {load_256(p), load_256(p + 32)}; }
  PIE_INLINE static Quads low_nibbles(Quads x) {
    const __m256i mask = _mm256_set1_epi8(15);
    return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
  }
  PIE_INLINE static Quads high_nibbles(Quads x) {
    const __m256i mask = _mm256_set1_epi8(15);
    return {_mm256_and_si256(_mm256_srli_epi16(x.a, 4), mask),
            _mm256_and_si256(_mm256_srli_epi16(x.b, 4), mask)};
  }
  template <int kBit, int kCount>
  PIE_INLINE static Quads put_bits(Quads low, Quads bits) {
    const __m256i mask = _mm256_set1_epi8(((1 << kCount) - 1) << 4);
    return {_mm256_or_si256(low.a, _mm256_and_si256(shifted_to_4<kBit>(bits.a), mask)),
            _mm256_or_si256(low.b, _mm256_and_si256(shifted_to_4<kBit>(bits.b), mask))};
  }
  PIE_INLINE static Quad broadcast(const int8_t* p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, 4);
    return _mm256_set1_epi32(quad);
  }

  /// vpmaddubsw adds two products in 16 bits. Weights of at most kMaxWeight leave room for
  /// kRoom of its results (32767 / (2 * 127 * kMaxWeight), x is never -128) before they are
  /// widened. Bytes up to 255 have no room: their low nibbles are multiplied in a first pass over
  /// the quads, the high ones in a second, so that each time as many sums stay in registers as for
  /// nibbles.
  template <int kMaxWeight>
  struct Dot {
    static constexpr bool kBytes = kMaxWeight > 127;
    static constexpr int kRoom = kBytes                            ? 8
                                 : 32767 / (254 * kMaxWeight) >= 8 ? 8
                                 : 32767 / (254 * kMaxWeight) >= 4 ? 4
                                                                   : 2;
    /// As many as 16 registers hold, by measurement.
    static constexpr int kTokensAtOnce = kRoom == 2 ? 3 : 6;
    static constexpr int kPasses = kBytes ? 2 : 1;
    static_assert(kBytes || 254 * kMaxWeight * kRoom <= 32767);
    static_assert(254 * 15 * 8 <= 32767);
    I words;  // of 16 bits
    I sums;   // of 32 bits: what was widened

    PIE_INLINE void begin(const int32_t*, int) {}
    template <int kIndex, int kPass>
    PIE_INLINE void add(Quads w, Quad x) {
      if constexpr (kBytes) {
        if constexpr (kPass == 1 && kIndex == 0) flush<true>();
        accumulate<kIndex>(words, kPass == 0 ? low_nibbles(w) : high_nibbles(w), x);
        widened_ = kPass == 1;
      } else {
        if constexpr (kIndex > 0 && kIndex % kRoom == 0) flush<kIndex == kRoom>();
        accumulate<kIndex % kRoom>(words, w, x);
        widened_ = kIndex >= kRoom;
      }
    }
    PIE_INLINE I sum(const int32_t* start, int shift) const {
      I total = widen(words, kBytes ? 16 : 1);
      if (widened_) total = plus(total, sums);
      if (start == nullptr) return total;
      const __m256i from = _mm256_slli_epi32(_mm256_set1_epi32(*start), shift);
      return plus(total, {from, from});
    }

   private:
    bool widened_ = false;  // known while compiling, once everything is inlined

    template <int kIndex>
    PIE_INLINE static void accumulate(I& to, Quads w, Quad x) {
      const I products = {_mm256_maddubs_epi16(w.a, x), _mm256_maddubs_epi16(w.b, x)};
      if constexpr (kIndex == 0) {
        to = products;
      } else {
        to = {_mm256_add_epi16(to.a, products.a), _mm256_add_epi16(to.b, products.b)};
        // Keeps the compiler from regrouping the sum, which would need all products at once.
        __asm__("" : "+x"(to.a), "+x"(to.b));
      }
    }
    template <bool kFirst>
    PIE_INLINE void flush() {
      sums = kFirst ? widen(words, 1) : plus(sums, widen(words, 1));
    }
    PIE_INLINE static I widen(I x, int16_t factor) {
      const __m256i factors = _mm256_set1_epi16(factor);
      return {_mm256_madd_epi16(x.a, factors), _mm256_madd_epi16(x.b, factors)};
    }
    PIE_INLINE static I plus(I x, I y) {
      return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
    }
  };

  /// Weights are loaded again for their other nibbles: keeping them costs registers that sums need.
  PIE_INLINE static void forget_loads() { __asm__ volatile("" ::: "memory"); }
  PIE_INLINE static void assume_changed(Quad& x) { __asm__ volatile("" : "+x"(x)); }
  PIE_INLINE static void assume_used(I x) { __asm__ volatile("" : : "x"(x.a), "x"(x.b)); }
  PIE_INLINE static void prefetch(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }

 private:
  PIE_INLINE static __m256i load_256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  PIE_INLINE static __m128i load_128(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  PIE_INLINE static __m128i load_64(const void* p) {
    return _mm_loadl_epi64(static_cast<const __m128i*>(p));
  }
  /// All bits of the lanes whose bit is set.
  PIE_INLINE static __m256 lanes_of(int mask) {
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_castsi256_ps(
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(mask), bits), bits));
  }
  PIE_INLINE static I first_lanes(int n) {
    const __m256i count = _mm256_set1_epi32(n);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return {_mm256_cmpgt_epi32(count, lanes),
            _mm256_cmpgt_epi32(count, _mm256_add_epi32(lanes, _mm256_set1_epi32(8)))};
  }
  PIE_INLINE static __m256 power_of_2(__m256 n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  }
  PIE_INLINE static __m256 twice(__m128 x) {
    return _mm256_set_m128(_mm_unpackhi_ps(x, x), _mm_unpacklo_ps(x, x));
  }
  PIE_INLINE static __m256 widen_bf16(__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
  template <int kBit>
  PIE_INLINE static __m256i shifted_to_4(__m256i x) {
    if constexpr (kBit < 4) {
      return _mm256_slli_epi16(x, 4 - kBit);
    } else {
      return _mm256_srli_epi16(x, kBit - 4);
    }
  }
};

}  // namespace
}  // namespace pie::kernels
