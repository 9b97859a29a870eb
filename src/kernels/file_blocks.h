#pragma once
#include <cstdint>

// The blocks of GGUF files (ggml's block_q*): plain data, and how the unsigned number of each value
// is found. unpack(q) gives the 32 values of a block, unpack(g, q) those of group g of a
// superblock.
namespace pie::kernels {

struct FileF16 {
  uint16_t bits;
};

/// Nibbles of 32 values: the first 16 low, the others high.
inline void unpack_nibbles(const uint8_t (&bytes)[16], uint8_t (&q)[32]) {
  for (int j = 0; j < 16; ++j) {
    q[j] = bytes[j] & 15;
    q[j + 16] = bytes[j] >> 4;
  }
}

/// Bit v of the 32 is bit 4 of value v.
inline void add_fifth_bits(const uint8_t (&bits)[4], uint8_t (&q)[32]) {
  for (int v = 0; v < 32; ++v) {
    q[v] = static_cast<uint8_t>(q[v] | (bits[v / 8] >> (v % 8) & 1) << 4);
  }
}

struct FileQ4_0 {
  uint16_t d;
  uint8_t nibbles[16];
  void unpack(uint8_t (&q)[32]) const { unpack_nibbles(nibbles, q); }
};

struct FileQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t nibbles[16];
  void unpack(uint8_t (&q)[32]) const { unpack_nibbles(nibbles, q); }
};

struct FileQ5_0 {
  uint16_t d;
  uint8_t fifth_bits[4];
  uint8_t nibbles[16];
  void unpack(uint8_t (&q)[32]) const {
    unpack_nibbles(nibbles, q);
    add_fifth_bits(fifth_bits, q);
  }
};

struct FileQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t fifth_bits[4];
  uint8_t nibbles[16];
  void unpack(uint8_t (&q)[32]) const {
    unpack_nibbles(nibbles, q);
    add_fifth_bits(fifth_bits, q);
  }
};

struct FileQ8_0 {
  uint16_t d;
  int8_t q[32];
};

/// Eight scales and eight minima of 6 bits in 12 bytes: the first four of each in the low 6 bits of
/// bytes 0-3 and 4-7; the others' low 4 bits in the nibbles of bytes 8-11, their high 2 bits in the
/// high bits of bytes 0-3 and 4-7.
struct PackedScales {
  uint8_t bytes[12];
  uint8_t scale(int g) const {
    if (g < 4) return bytes[g] & 63;
    return static_cast<uint8_t>((bytes[g + 4] & 15) | bytes[g - 4] >> 6 << 4);
  }
  uint8_t minimum(int g) const {
    if (g < 4) return bytes[g + 4] & 63;
    return static_cast<uint8_t>(bytes[g + 4] >> 4 | bytes[g] >> 6 << 4);
  }
};

/// Groups 2j and 2j + 1 are the low and high nibbles of the same 32 bytes.
struct FileQ4_K {
  uint16_t d;
  uint16_t d_min;
  PackedScales scales;
  uint8_t nibbles[4][32];
  uint8_t scale(int g) const { return scales.scale(g); }
  uint8_t minimum(int g) const { return scales.minimum(g); }
  void unpack(int g, uint8_t (&q)[32]) const {
    for (int v = 0; v < 32; ++v) q[v] = nibbles[g / 2][v] >> (g % 2 * 4) & 15;
  }
};

/// Bit g of fifth_bits[v] belongs to value v of group g.
struct FileQ5_K {
  uint16_t d;
  uint16_t d_min;
  PackedScales scales;
  uint8_t fifth_bits[32];
  uint8_t nibbles[4][32];
  uint8_t scale(int g) const { return scales.scale(g); }
  uint8_t minimum(int g) const { return scales.minimum(g); }
  void unpack(int g, uint8_t (&q)[32]) const {
    for (int v = 0; v < 32; ++v) {
      const int nibble = nibbles[g / 2][v] >> (g % 2 * 4) & 15;
      q[v] = static_cast<uint8_t>(nibble | (fifth_bits[v] >> g & 1) << 4);
    }
  }
};

/// Two parts of 128 values. In a part, groups 0 and 1 are the low nibbles of 64 bytes, groups 2 and
/// 3 the high ones; bits 2g and 2g + 1 of high_bits[v] are bits 4 and 5 of value v of group g.
struct FileQ6_K {
  uint8_t nibbles[2][2][32];
  uint8_t high_bits[2][32];
  int8_t scales[16];  // of 16 values
  uint16_t d;
  void unpack(int g, uint8_t (&q)[32]) const {
    const int part = g / 4;
    const int in_part = g % 4;
    for (int v = 0; v < 32; ++v) {
      const int nibble = nibbles[part][in_part % 2][v] >> (in_part / 2 * 4) & 15;
      q[v] = static_cast<uint8_t>(nibble | (high_bits[part][v] >> (2 * in_part) & 3) << 4);
    }
  }
};

static_assert(sizeof(FileQ4_0) == 18 && sizeof(FileQ4_1) == 20 && sizeof(FileQ5_0) == 22);
static_assert(sizeof(FileQ5_1) == 24 && sizeof(FileQ8_0) == 34 && sizeof(FileQ4_K) == 144);
static_assert(sizeof(FileQ5_K) == 176 && sizeof(FileQ6_K) == 210);

}  // namespace pie::kernels
