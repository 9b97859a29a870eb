#pragma once
// The file that includes this one includes <immintrin.h> first, or an emulation of it.
#include <cstddef>
#include <cstdint>

#include "kernels/simd/inline.h"

namespace pie::kernels {
namespace {

/// The operations of simd/scalar.h with AVX-512 F, BW, VL, DQ and VNNI.
struct Avx512 {
  static constexpr int kHalvesAtOnce = 2;  ///< a broadcast feeds two vpdpbusd
  static constexpr int kPeakDots = 12;
  static constexpr int kFloatVectors = 32;
  struct F {
    __m512 v;
  };
  struct I {
    __m512i v;
  };
  using Quads = __m512i;
  using Quad = __m512i;

  // ---- floats
  PIE_INLINE static F set1(float x) { return {_mm512_set1_ps(x)}; }
  PIE_INLINE static F zero() { return {_mm512_setzero_ps()}; }
  PIE_INLINE static F load(const float* p) { return {_mm512_loadu_ps(p)}; }
  PIE_INLINE static F load_n(const float* p, int n) {
    return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
  }
  PIE_INLINE static void store(float* p, F x) { _mm512_storeu_ps(p, x.v); }
  PIE_INLINE static void store_n(float* p, F x, int n) {
    _mm512_mask_storeu_ps(p, first_lanes(n), x.v);
  }
  PIE_INLINE static F add(F x, F y) { return {_mm512_add_ps(x.v, y.v)}; }
  PIE_INLINE static F sub(F x, F y) { return {_mm512_sub_ps(x.v, y.v)}; }
  PIE_INLINE static F mul(F x, F y) { return {_mm512_mul_ps(x.v, y.v)}; }
  PIE_INLINE static F div(F x, F y) { return {_mm512_div_ps(x.v, y.v)}; }
  PIE_INLINE static F fma(F x, F y, F z) { return {_mm512_fmadd_ps(x.v, y.v, z.v)}; }
  PIE_INLINE static F max(F x, F y) { return {_mm512_max_ps(x.v, y.v)}; }
  PIE_INLINE static F min(F x, F y) { return {_mm512_min_ps(x.v, y.v)}; }
  PIE_INLINE static F sqrt(F x) { return {_mm512_sqrt_ps(x.v)}; }
  PIE_INLINE static F round(F x) { return {_mm512_roundscale_ps(x.v, 0)}; }
  PIE_INLINE static F abs(F x) { return from_bits(_mm512_and_si512(bits(x), magnitude_mask())); }
  PIE_INLINE static F copy_sign(F magnitude, F x) {
    const __m512i mask = magnitude_mask();
    return from_bits(_mm512_or_si512(_mm512_and_si512(bits(magnitude), mask),
                                     _mm512_andnot_si512(mask, bits(x))));
  }
  PIE_INLINE static F select_less(F x, F y, F yes, F no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_LT_OQ), no.v, yes.v)};
  }
  PIE_INLINE static F times_power_of_2(F x, F n) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return mul(x, from_bits(_mm512_slli_epi32(exponent, 23)));
  }
  PIE_INLINE static float reduce_add(F x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.v), high_half(x));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  PIE_INLINE static F load_twice(const float* p) {
    const __m512i pairs =
        _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return from_bits(_mm512_or_si512(pairs, _mm512_slli_epi64(pairs, 32)));
  }
  PIE_INLINE static F swap_pairs(F x) { return {_mm512_permute_ps(x.v, 0xB1)}; }
  PIE_INLINE static F negate_even(F x) {
    return from_bits(_mm512_xor_si512(bits(x), _mm512_set1_epi64(0x80000000LL)));
  }
  PIE_INLINE static F negate(F x) {
    return from_bits(_mm512_xor_si512(bits(x), _mm512_set1_epi32(INT32_MIN)));
  }

  PIE_INLINE static F select_bits(uint16_t mask, F yes, F no) {
    return {_mm512_mask_blend_ps(mask, no.v, yes.v)};
  }
  PIE_INLINE static float reduce_max(F x) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x.v), high_half(x));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  // ---- conversions
  PIE_INLINE static void store_f16(uint16_t* p, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT));
  }
  PIE_INLINE static F load_f16(const uint16_t* p) { return {_mm512_cvtph_ps(load_256(p))}; }
  PIE_INLINE static F load_bf16(const uint16_t* p) {
    return from_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_256(p)), 16));
  }
  PIE_INLINE static F load_u8(const uint8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_128(p)))};
  }
  PIE_INLINE static F load_i8(const int8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_128(p)))};
  }
  PIE_INLINE static F to_float(I x) { return {_mm512_cvtepi32_ps(x.v)}; }
  PIE_INLINE static void store_i8(int8_t* p, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x.v)));
  }
  /// Of 16: with their signs flipped they are unsigned, 128 more each.
  PIE_INLINE static int32_t sum_i8(const int8_t* p) {
    const __m128i more = _mm_xor_si128(load_128(p), _mm_set1_epi8(-128));
    const __m128i sums = _mm_sad_epu8(more, _mm_setzero_si128());
    return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 16 * 128;
  }
  PIE_INLINE static I magnitude_bits(F x) { return {_mm512_and_si512(bits(x), magnitude_mask())}; }
  PIE_INLINE static I max(I x, I y) { return {_mm512_max_epi32(x.v, y.v)}; }
  PIE_INLINE static int32_t reduce_max(I x) {
    const __m256i eight =
        _mm256_max_epi32(_mm512_castsi512_si256(x.v), _mm512_extracti64x4_epi64(x.v, 1));
    const __m128i four =
        _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
  }

  // ---- products of quads
  PIE_INLINE static Quads load_quads(const uint8_t* p) { return _mm512_loadu_si512(p); }
  PIE_INLINE static Quads low_nibbles(Quads x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
  PIE_INLINE static Quads high_nibbles(Quads x) {
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
  }
  template <int kBit, int kCount>
  PIE_INLINE static Quads put_bits(Quads low, Quads x) {
    const __m512i mask = _mm512_set1_epi8(((1 << kCount) - 1) << 4);
    return _mm512_or_si512(low, _mm512_and_si512(shifted_to_4<kBit>(x), mask));
  }
  PIE_INLINE static Quad broadcast(const int8_t* p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, 4);
    return _mm512_set1_epi32(quad);
  }

  /// vpdpbusd adds four products to 32 bits.
  template <int kMaxWeight>
  struct Dot {
    static constexpr int kTokensAtOnce = 6;
    static constexpr int kPasses = 1;
    __m512i sums;
    PIE_INLINE void begin(const int32_t* start, int shift) {
      sums = start == nullptr
                 ? _mm512_setzero_si512()
                 : _mm512_slli_epi32(_mm512_set1_epi32(*start), static_cast<unsigned>(shift));
    }
    template <int kIndex, int kPass>
    PIE_INLINE void add(Quads w, Quad x) {
      sums = _mm512_dpbusd_epi32(sums, w, x);
    }
    PIE_INLINE I sum(const int32_t*, int) const { return {sums}; }
  };

  PIE_INLINE static void forget_loads() {}  // 32 registers hold what a tile needs
  PIE_INLINE static void assume_changed([[maybe_unused]] Quad& x) {
#ifdef __AVX512F__
    __asm__ volatile("" : "+v"(x));
#endif
  }
  PIE_INLINE static void assume_used([[maybe_unused]] I x) {
#ifdef __AVX512F__
    __asm__ volatile("" : : "v"(x.v));
#endif
  }
  PIE_INLINE static void prefetch(const std::byte* p) { __builtin_prefetch(p, 0, 3); }

 private:
  PIE_INLINE static __m512i bits(F x) { return _mm512_castps_si512(x.v); }
  PIE_INLINE static F from_bits(__m512i x) { return {_mm512_castsi512_ps(x)}; }
  PIE_INLINE static __m512i magnitude_mask() { return _mm512_set1_epi32(INT32_MAX); }
  PIE_INLINE static __m256 high_half(F x) {
    return _mm256_castsi256_ps(_mm512_extracti64x4_epi64(bits(x), 1));
  }
  PIE_INLINE static __mmask16 first_lanes(int n) {
    return static_cast<__mmask16>(n >= 16 ? 0xFFFF : (1 << n) - 1);
  }
  PIE_INLINE static __m256i load_256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  PIE_INLINE static __m128i load_128(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  template <int kBit>
  PIE_INLINE static __m512i shifted_to_4(__m512i x) {
    if constexpr (kBit < 4) {
      return _mm512_slli_epi16(x, 4 - kBit);
    } else {
      return _mm512_srli_epi16(x, kBit - 4);
    }
  }
};

}  // namespace
}  // namespace pie::kernels
