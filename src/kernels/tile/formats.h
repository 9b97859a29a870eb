#pragma once
#include "kernels/simd/inline.h"
#include "kernels/tile/panels.h"

// How the panels of each format are read, over a SIMD type S. A format is
//   w = scale * (q - offset)          or   w = scale * q + minimum
// with scale (and minimum) of a group, or of each of its two halves of 16 values.
namespace pie::kernels {
namespace {

/// Quad `kQuad` of a group from its vectors of nibbles.
template <class S, int kQuad>
PIE_INLINE typename S::Quads nibbles(const QuadVector* vectors) {
  const auto both = S::load_quads(vectors[kQuad / 2]);
  return kQuad % 2 == 0 ? S::low_nibbles(both) : S::high_nibbles(both);
}

/// What a block of several groups says once, widened: scales of the superblock.
template <class S>
struct BlockScales {
  typename S::F d, d_min;
};

/// Formats whose block is one group, and whose quads are nibbles (and a fifth bit).
template <class S, class BlockType, int kMax, bool kMinimum, int kOffsetShift_, bool kFifthBit>
struct SimpleFormat {
  using F = typename S::F;
  using Block = BlockType;
  static constexpr int kMaxWeight = kMax;
  static constexpr bool kHasMinimum = kMinimum;
  static constexpr int kOffsetShift = kOffsetShift_;  ///< offset = 2^it; -1: none
  static constexpr int kGroups = 1;
  static constexpr int kScalesPerGroup = 1;

  PIE_INLINE static const Block& group(const Block& block, int) { return block; }
  PIE_INLINE static BlockScales<S> block_scales(const Block&, int) {
    return {S::zero(), S::zero()};
  }
  template <int kQuad>
  PIE_INLINE static typename S::Quads quads(const Block& block, int half) {
    const auto four_bits = nibbles<S, kQuad>(block.nibbles[half]);
    if constexpr (kFifthBit) {
      return S::template put_bits<kQuad, 1>(four_bits, S::load_quads(block.high_bits[half]));
    } else {
      return four_bits;
    }
  }
  PIE_INLINE static F scale(const Block& block, const BlockScales<S>&, int half, int) {
    return S::load_f16(block.d[half]);
  }
  PIE_INLINE static F minimum(const Block& block, const BlockScales<S>&, int half) {
    if constexpr (kMinimum) {
      return S::load_f16(block.m[half]);
    } else {
      return S::zero();
    }
  }
};

template <class S>
struct FormatQ8_0 : SimpleFormat<S, PanelQ8_0, 255, false, 7, false> {
  template <int kQuad>
  PIE_INLINE static typename S::Quads quads(const PanelQ8_0& block, int half) {
    return S::load_quads(block.bytes[half][kQuad]);
  }
};

/// Q4_K and Q5_K: products of the superblock's f16 and a 6-bit scale are exact in f32.
template <class S, class BlockType, int kMax, bool kFifthBit>
struct FormatWithMinima {
  using F = typename S::F;
  using Block = BlockType;
  using Group = typename Block::Group;
  static constexpr int kMaxWeight = kMax;
  static constexpr bool kHasMinimum = true;
  static constexpr int kOffsetShift = -1;
  static constexpr int kGroups = kSuperblockGroups;
  static constexpr int kScalesPerGroup = 1;

  PIE_INLINE static const Group& group(const Block& block, int index) {
    return block.groups[index];
  }
  PIE_INLINE static BlockScales<S> block_scales(const Block& block, int half) {
    return {S::load_f16(block.d[half]), S::negate(S::load_f16(block.d_min[half]))};
  }
  template <int kQuad>
  PIE_INLINE static typename S::Quads quads(const Group& group, int half) {
    using Nibbles = SimpleFormat<S, Group, kMax, false, -1, kFifthBit>;
    return Nibbles::template quads<kQuad>(group, half);
  }
  PIE_INLINE static F scale(const Group& group, const BlockScales<S>& block, int half, int) {
    return S::mul(block.d, S::load_u8(group.scale[half]));
  }
  PIE_INLINE static F minimum(const Group& group, const BlockScales<S>& block, int half) {
    return S::mul(block.d_min, S::load_u8(group.minimum[half]));
  }
};

template <class S>
struct FormatQ6_K {
  using F = typename S::F;
  using Block = PanelQ6_K;
  using Group = Block::Group;
  static constexpr int kMaxWeight = 63;
  static constexpr bool kHasMinimum = false;
  static constexpr int kOffsetShift = 5;
  static constexpr int kGroups = kSuperblockGroups;
  static constexpr int kScalesPerGroup = 2;

  PIE_INLINE static const Group& group(const Block& block, int index) {
    return block.groups[index];
  }
  PIE_INLINE static BlockScales<S> block_scales(const Block& block, int half) {
    return {S::load_f16(block.d[half]), S::zero()};
  }
  template <int kQuad>
  PIE_INLINE static typename S::Quads quads(const Group& group, int half) {
    const auto bits = S::load_quads(group.high_bits[half][kQuad / 4]);
    return S::template put_bits<kQuad % 4 * 2, 2>(nibbles<S, kQuad>(group.nibbles[half]), bits);
  }
  PIE_INLINE static F scale(const Group& group, const BlockScales<S>& block, int half, int part) {
    return S::mul(block.d, S::load_i8(group.scale[part][half]));
  }
  PIE_INLINE static F minimum(const Group&, const BlockScales<S>&, int) { return S::zero(); }
};

template <class S, Format kFormat>
struct FormatReader;
template <class S>
struct FormatReader<S, Format::kQ4_0> : SimpleFormat<S, PanelQ4_0, 15, false, 3, false> {};
template <class S>
struct FormatReader<S, Format::kQ4_1> : SimpleFormat<S, PanelQ4_1, 15, true, -1, false> {};
template <class S>
struct FormatReader<S, Format::kQ5_0> : SimpleFormat<S, PanelQ5_0, 31, false, 4, true> {};
template <class S>
struct FormatReader<S, Format::kQ5_1> : SimpleFormat<S, PanelQ5_1, 31, true, -1, true> {};
template <class S>
struct FormatReader<S, Format::kQ8_0> : FormatQ8_0<S> {};
template <class S>
struct FormatReader<S, Format::kQ4_K> : FormatWithMinima<S, PanelQ4_K, 15, false> {};
template <class S>
struct FormatReader<S, Format::kQ5_K> : FormatWithMinima<S, PanelQ5_K, 31, true> {};
template <class S>
struct FormatReader<S, Format::kQ6_K> : FormatQ6_K<S> {};

/// F formats: one value of k of 16 rows.
template <class S>
PIE_INLINE typename S::F load_values(const PanelF32& step, int half) {
  return S::load(step.w[half]);
}
template <class S>
PIE_INLINE typename S::F load_values(const PanelF16& step, int half) {
  return S::load_f16(step.w[half]);
}
template <class S>
PIE_INLINE typename S::F load_values(const PanelBf16& step, int half) {
  return S::load_bf16(step.w[half]);
}

}  // namespace
}  // namespace pie::kernels
