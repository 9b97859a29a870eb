#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/format.h"

// Layouts of panels: 32 rows as a stream over k. Plain data without functions: these headers are
// compiled for several instruction sets.
//
// A *half* is 16 rows, a *quad* 4 consecutive values of k. A quad vector holds one quad of a half:
// byte 4 * i + b is value 4 * quad + b of row i, which is how vpdpbusd and vpmaddubsw want it.
// A *group* is 32 values of k (8 quads). Two quads share a vector of nibbles: quad 2s is in the low
// nibbles of vector s, quad 2s + 1 in the high ones. Numbers are stored unsigned, as the file does;
// Q8_0 (w + 128) and Q6_K's scales are the only ones that are signed there.
namespace pie::kernels {

constexpr int kGroupValues = 32;
constexpr int kGroupQuads = 8;
constexpr int kSuperblockGroups = 8;
constexpr int kHalves = 2;
constexpr int kHalfRows = 16;

using QuadVector = uint8_t[64];
using HalfFloats = uint16_t[kHalfRows];  // f16 of 16 rows
using HalfBytes = uint8_t[kHalfRows];

/// w = d (q - 8)
struct alignas(64) PanelQ4_0 {
  QuadVector nibbles[kHalves][4];
  HalfFloats d[kHalves];
};
/// w = d q + m
struct alignas(64) PanelQ4_1 {
  QuadVector nibbles[kHalves][4];
  HalfFloats d[kHalves];
  HalfFloats m[kHalves];
};
/// w = d (q - 16); bit s of byte j of high_bits is bit 4 of byte j of quad s
struct alignas(64) PanelQ5_0 {
  QuadVector nibbles[kHalves][4];
  QuadVector high_bits[kHalves];
  HalfFloats d[kHalves];
};
/// w = d q + m
struct alignas(64) PanelQ5_1 {
  QuadVector nibbles[kHalves][4];
  QuadVector high_bits[kHalves];
  HalfFloats d[kHalves];
  HalfFloats m[kHalves];
};
/// w = d (q - 128)
struct alignas(64) PanelQ8_0 {
  QuadVector bytes[kHalves][8];
  HalfFloats d[kHalves];
};
/// w = d scale q - d_min minimum; scales and minima of 6 bits, a byte each
struct alignas(64) PanelQ4_K {
  struct Group {
    QuadVector nibbles[kHalves][4];
    HalfBytes scale[kHalves];
    HalfBytes minimum[kHalves];
  } groups[kSuperblockGroups];
  HalfFloats d[kHalves];
  HalfFloats d_min[kHalves];
};
/// as PanelQ4_K with q of 5 bits
struct alignas(64) PanelQ5_K {
  struct Group {
    QuadVector nibbles[kHalves][4];
    QuadVector high_bits[kHalves];
    HalfBytes scale[kHalves];
    HalfBytes minimum[kHalves];
  } groups[kSuperblockGroups];
  HalfFloats d[kHalves];
  HalfFloats d_min[kHalves];
};
/// w = d scale (q - 32), one int8 scale for 16 values; bits 2j and 2j + 1 of high_bits[h][p] are
/// bits 4 and 5 of quad 4p + j
struct alignas(64) PanelQ6_K {
  struct Group {
    QuadVector nibbles[kHalves][4];
    QuadVector high_bits[kHalves][2];
    int8_t scale[2][kHalves][kHalfRows];  // [first and second 16 values]
  } groups[kSuperblockGroups];
  HalfFloats d[kHalves];
};
/// One value of k of 32 rows.
struct PanelF32 {
  float w[kHalves][kHalfRows];
};
struct PanelF16 {
  uint16_t w[kHalves][kHalfRows];
};
struct PanelBf16 {
  uint16_t w[kHalves][kHalfRows];
};

static_assert(sizeof(PanelQ4_0) == 32 * 18 && sizeof(PanelQ4_1) == 32 * 20);
static_assert(sizeof(PanelQ5_0) == 32 * 22 && sizeof(PanelQ5_1) == 32 * 24);
static_assert(sizeof(PanelQ8_0) == 32 * 34 && sizeof(PanelQ6_K) == 32 * 210);
static_assert(sizeof(PanelQ4_K) == 32 * 148 && sizeof(PanelQ5_K) == 32 * 180);

/// What a step of the stream over k holds, and its type.
template <Format kFormat>
struct PanelOf;
#define PIE_PANEL(name, values)            \
  template <>                              \
  struct PanelOf<Format::k##name> {        \
    using Block = Panel##name;             \
    static constexpr int kValues = values; \
  }
PIE_PANEL(F32, 1);
PIE_PANEL(F16, 1);
PIE_PANEL(Bf16, 1);
PIE_PANEL(Q4_0, kGroupValues);
PIE_PANEL(Q4_1, kGroupValues);
PIE_PANEL(Q5_0, kGroupValues);
PIE_PANEL(Q5_1, kGroupValues);
PIE_PANEL(Q8_0, kGroupValues);
PIE_PANEL(Q4_K, kGroupValues* kSuperblockGroups);
PIE_PANEL(Q5_K, kGroupValues* kSuperblockGroups);
PIE_PANEL(Q6_K, kGroupValues* kSuperblockGroups);
#undef PIE_PANEL

}  // namespace pie::kernels
