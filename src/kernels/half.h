#pragma once
#include <bit>
#include <cstdint>

namespace pie::kernels {

/// IEEE binary16 to f32, exact.
inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 31U;
  const uint32_t fraction = half & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1.0p-24F;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  // A NaN becomes quiet, as vcvtph2ps makes it.
  const uint32_t quiet = exponent == 31 && fraction != 0 ? 0x400000U : 0;
  const uint32_t exponent_f32 = exponent == 31 ? 255U : exponent + 112U;
  return std::bit_cast<float>(sign | exponent_f32 << 23 | fraction << 13 | quiet);
}

/// f32 of at most 65504 in size to IEEE binary16, to nearest, ties to even.
inline uint16_t f32_to_f16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign = bits >> 16 & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude < 0x38800000U) {  // below 2^-14 in steps of 2^-24: the sum rounds to them
    const float sum = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3F000000U));
  }
  const uint32_t rounded = magnitude + 0xFFFU + (magnitude >> 13 & 1U);
  return static_cast<uint16_t>(sign | (rounded - (112U << 23)) >> 13);
}

/// bfloat16 to f32, exact.
inline float bf16_to_f32(uint16_t half) {
  return std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

}  // namespace pie::kernels
