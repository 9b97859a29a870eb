#include "kernels/testing/random_matrix.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace pie::kernels {

namespace {

uint16_t read_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

/// A finite f16 between 2^-10 and 2^-4 of either sign, sometimes subnormal or zero.
uint16_t random_scale(std::mt19937& random) {
  const uint32_t draw = random() % 32;
  if (draw == 0) return 0;
  if (draw == 1) return static_cast<uint16_t>(random() & 0x83FF);
  const uint32_t exponent = 5 + random() % 6;
  return static_cast<uint16_t>((random() & 0x83FF) | exponent << 10);
}

double f16(const uint8_t* p) {
  const uint16_t bits = read_u16(p);
  const int exponent = bits >> 10 & 31;
  const double fraction = bits & 0x3FF;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

void put_scale(uint8_t* p, std::mt19937& random) {
  const uint16_t scale = random_scale(random);
  std::memcpy(p, &scale, 2);
}

/// Offsets of the f16 numbers of a block.
std::vector<int> scale_offsets(Format format) {
  switch (format) {
    case Format::kQ4_0:
    case Format::kQ5_0:
    case Format::kQ8_0: return {0};
    case Format::kQ4_1:
    case Format::kQ5_1:
    case Format::kQ4_K:
    case Format::kQ5_K: return {0, 2};
    case Format::kQ6_K: return {208};
    default: return {};
  }
}

/// The formula of "get_scale_min_k4" for scale (which = 0) or minimum (which = 1) j.
int k_scale(const uint8_t* s, int j, int which) {
  if (j < 4) return s[j + 4 * which] & 63;
  const int low = which == 0 ? s[j + 4] & 15 : s[j + 4] >> 4;
  const int high = which == 0 ? s[j - 4] >> 6 : s[j] >> 6;
  return low | high << 4;
}

/// Value `i` of a Q6_K block: four quarters of 32 in each half of 128.
double q6_k_value(const uint8_t* block, int i) {
  const int half = i / 128;
  const int quarter = i % 128 / 32;
  const int l = i % 32;
  const uint8_t* low = block + 64 * half + (quarter % 2) * 32 + l;
  const uint8_t* high = block + 128 + 32 * half + l;
  const int q = ((quarter < 2 ? *low & 15 : *low >> 4) | (*high >> (2 * quarter) & 3) << 4) - 32;
  const int scale = std::bit_cast<int8_t>(block[192 + 8 * half + 2 * quarter + l / 16]);
  return f16(block + 208) * scale * q;
}

double k_value(Format format, const uint8_t* block, int i) {
  if (format == Format::kQ6_K) return q6_k_value(block, i);
  const int j = i / 32;
  const bool fifth = format == Format::kQ5_K;
  const uint8_t* quants = block + (fifth ? 48 : 16) + (i / 64) * 32 + i % 32;
  int q = j % 2 == 0 ? *quants & 15 : *quants >> 4;
  if (fifth && (block[16 + i % 32] >> j & 1) != 0) q += 16;
  return f16(block) * k_scale(block + 4, j, 0) * q - f16(block + 2) * k_scale(block + 4, j, 1);
}

double value(Format format, const uint8_t* block, int i) {
  const auto nibble = [&](int at) { return i < 16 ? block[at + i] & 15 : block[at + i - 16] >> 4; };
  const auto fifth = [&](int at) {
    uint32_t bits = 0;
    std::memcpy(&bits, block + at, 4);
    return static_cast<int>(bits >> i & 1) << 4;
  };
  switch (format) {
    case Format::kF32: {
      float x = 0;
      std::memcpy(&x, block, 4);
      return x;
    }
    case Format::kF16: return f16(block);
    case Format::kBf16: return std::bit_cast<float>(uint32_t{read_u16(block)} << 16);
    case Format::kQ4_0: return f16(block) * (nibble(2) - 8);
    case Format::kQ4_1: return f16(block) * nibble(4) + f16(block + 2);
    case Format::kQ5_0: return f16(block) * ((nibble(6) | fifth(2)) - 16);
    case Format::kQ5_1: return f16(block) * (nibble(8) | fifth(4)) + f16(block + 2);
    case Format::kQ8_0: return f16(block) * std::bit_cast<int8_t>(block[2 + i]);
    default: return k_value(format, block, i);
  }
}

void fill_block(Format format, uint8_t* block, std::mt19937& random, NumberRange range) {
  const uint32_t bytes = format_traits(format).block_bytes;
  if (format == Format::kF32) {
    const float x = std::normal_distribution<float>()(random);
    std::memcpy(block, &x, 4);
    return;
  }
  if (format == Format::kF16) return put_scale(block, random);
  if (format == Format::kBf16) {
    const float x = std::normal_distribution<float>()(random);
    std::memcpy(block, reinterpret_cast<const uint8_t*>(&x) + 2, 2);
    return;
  }
  // Extreme bytes: for Q8_0 -128 and 127, for packed numbers all bits of a nibble and of the pairs.
  constexpr uint8_t kPacked[] = {0x00, 0xFF, 0x0F, 0xF0};
  for (uint32_t i = 0; i < bytes; ++i) {
    block[i] = static_cast<uint8_t>(random());
    if (range != NumberRange::kExtreme) continue;
    block[i] = format == Format::kQ8_0 ? (random() % 2 == 0 ? 0x80 : 0x7F) : kPacked[random() % 4];
  }
  for (const int offset : scale_offsets(format)) put_scale(block + offset, random);
}

}  // namespace

RandomMatrix random_matrix(Format format, uint32_t rows, uint32_t k, uint32_t seed,
                           NumberRange range) {
  std::mt19937 random(seed);
  RandomMatrix matrix = {format, rows, k, std::vector<uint8_t>(file_bytes(format, rows, k))};
  const uint32_t bytes = format_traits(format).block_bytes;
  for (size_t i = 0; i < matrix.bytes.size(); i += bytes) {
    fill_block(format, matrix.bytes.data() + i, random, range);
  }
  return matrix;
}

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) {
    const uint32_t draw = random() % 50;
    value = normal(random) * (draw == 0 ? 30.0F : draw == 1 ? 0.0F : 1.0F);
  }
  return x;
}

std::vector<double> decode_row(const RandomMatrix& matrix, uint32_t row) {
  const FormatTraits& traits = format_traits(matrix.format);
  const uint8_t* data = matrix.bytes.data() + file_bytes(matrix.format, row, matrix.k);
  std::vector<double> values(matrix.k);
  for (uint32_t i = 0; i < matrix.k; ++i) {
    const uint8_t* block = data + i / traits.block_values * traits.block_bytes;
    values[i] = value(matrix.format, block, static_cast<int>(i % traits.block_values));
  }
  return values;
}

}  // namespace pie::kernels
