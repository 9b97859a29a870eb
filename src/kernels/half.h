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

/// bfloat16 to f32, exact.
inline float bf16_to_f32(uint16_t half) {
  return std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

}  // namespace pie::kernels
