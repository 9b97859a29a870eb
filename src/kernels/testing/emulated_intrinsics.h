#pragma once
// SIMDe's emulation of AVX-512 under the names of <immintrin.h>, and the instructions that SIMDe
// 0.7.4 lacks (or rounds twice: fmadd), written after Intel's Intrinsics Guide. Functions stay out
// of line: kernels unroll everything.
#define SIMDE_NO_INLINE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#undef _mm512_fmadd_ps

#include <cmath>
#include <cstdint>
#include <cstring>

#pragma GCC diagnostic ignored "-Wignored-attributes"  // alignment of vectors as template arguments

namespace pie::kernels {
namespace {

using __mmask16 = uint16_t;

/// The lanes of a vector, and back.
template <class Lane, class Vector>
struct Lanes {
  static constexpr int kCount = sizeof(Vector) / sizeof(Lane);
  Lane lane[kCount];
  explicit Lanes(const Vector& vector) { std::memcpy(lane, &vector, sizeof lane); }
  Lanes() = default;
  Vector vector() const {
    Vector v;
    std::memcpy(&v, lane, sizeof lane);
    return v;
  }
};

/// Lane by lane, f(from).
template <class To, class From, class ToVector, class FromVector, class Function>
ToVector map_lanes(const FromVector& from, const Function& f) {
  const Lanes<From, FromVector> in(from);
  Lanes<To, ToVector> out;
  for (int i = 0; i < out.kCount; ++i) out.lane[i] = f(in.lane[i]);
  return out.vector();
}

__m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* p) {
  Lanes<float, __m512> out;
  for (int i = 0; i < 16; ++i) {
    out.lane[i] = 0;
    if ((mask >> i & 1) != 0) std::memcpy(&out.lane[i], static_cast<const char*>(p) + 4 * i, 4);
  }
  return out.vector();
}

void _mm512_mask_storeu_ps(void* p, __mmask16 mask, const __m512& x) {
  const Lanes<float, __m512> in(x);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) std::memcpy(static_cast<char*>(p) + 4 * i, &in.lane[i], 4);
  }
}

__m512i _mm512_cvtps_epi32(const __m512& x) {
  return map_lanes<int32_t, float, __m512i>(x, [](float a) {
    const float rounded = std::nearbyint(a);
    const bool fits = rounded >= -0x1p31F && rounded < 0x1p31F;
    return fits ? static_cast<int32_t>(rounded) : INT32_MIN;
  });
}

__m512 _mm512_cvtepi32_ps(const __m512i& x) {
  return map_lanes<float, int32_t, __m512>(x, [](int32_t a) { return static_cast<float>(a); });
}

__m512i _mm512_cvtepu32_epi64(const __m256i& x) {
  return map_lanes<uint64_t, uint32_t, __m512i>(x, [](uint32_t a) { return uint64_t{a}; });
}

__m512i _mm512_cvtepu16_epi32(const __m256i& x) {
  return map_lanes<uint32_t, uint16_t, __m512i>(x, [](uint16_t a) { return uint32_t{a}; });
}

__m512i _mm512_cvtepu8_epi32(const __m128i& x) {
  return map_lanes<uint32_t, uint8_t, __m512i>(x, [](uint8_t a) { return uint32_t{a}; });
}

__m512i _mm512_cvtepi8_epi32(const __m128i& x) {
  return map_lanes<int32_t, int8_t, __m512i>(x, [](int8_t a) { return int32_t{a}; });
}

__m512 _mm512_cvtph_ps(const __m256i& x) {
  return map_lanes<float, uint16_t, __m512>(x, [](uint16_t a) {
    const int exponent = a >> 10 & 31;
    const float fraction = static_cast<float>(a & 0x3FF);
    float magnitude = std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 0) magnitude = std::ldexp(fraction, -24);
    if (exponent == 31) magnitude = fraction == 0 ? INFINITY : NAN;
    return (a & 0x8000) != 0 ? -magnitude : magnitude;
  });
}

/// To nearest, ties to even; of numbers that fit.
__m256i _mm512_cvtps_ph(const __m512& x, int) {
  return map_lanes<uint16_t, float, __m256i>(x, [](float a) {
    const float size = std::fabs(a);
    int exponent = 0;
    std::frexp(size, &exponent);  // size < 2^exponent
    const int lowest = exponent < -13 ? -13 : exponent;
    const auto steps = static_cast<int>(std::nearbyint(std::ldexp(size, 11 - lowest)));
    // Of 2^(lowest - 11) each; 1024 of them are the hidden bit, 2048 the next exponent.
    const int bits = size < 0x1p-14F ? steps : steps + (lowest + 13) * 1024;
    return static_cast<uint16_t>(bits | (std::signbit(a) ? 0x8000 : 0));
  });
}

__m512 _mm512_fmadd_ps(const __m512& x, const __m512& y, const __m512& z) {
  const Lanes<float, __m512> a(x);
  const Lanes<float, __m512> b(y);
  Lanes<float, __m512> c(z);
  for (int i = 0; i < 16; ++i) c.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
  return c.vector();
}

/// Within each 128 bits, lane j takes the lane that bits 2j and 2j + 1 of `control` name.
__m512 _mm512_permute_ps(const __m512& x, int control) {
  const Lanes<float, __m512> in(x);
  Lanes<float, __m512> out;
  for (int i = 0; i < 16; ++i) out.lane[i] = in.lane[i / 4 * 4 + (control >> (2 * (i % 4)) & 3)];
  return out.vector();
}

}  // namespace
}  // namespace pie::kernels
