#include "kernels/pack_rows.h"

#include <cstring>

#include "kernels/file_blocks.h"
#include "kernels/panel_values.h"
#include "kernels/tile/panels.h"

namespace pie::kernels {

namespace {

using Values = uint8_t[kGroupValues];  // the unsigned numbers of one row's group

/// Place of value `v` of a group within its quad vector.
constexpr int byte_of(int row, int v) { return 4 * row + v % 4; }

void put_nibbles(QuadVector* nibbles, int row, const Values& q) {
  for (int v = 0; v < kGroupValues; ++v) {
    uint8_t& byte = nibbles[v / 8][byte_of(row, v)];
    byte = static_cast<uint8_t>(byte | (q[v] & 15) << (v / 4 % 2 * 4));
  }
}

/// Bit 4 of each value.
void put_fifth_bits(QuadVector& bits, int row, const Values& q) {
  for (int v = 0; v < kGroupValues; ++v) {
    uint8_t& byte = bits[byte_of(row, v)];
    byte = static_cast<uint8_t>(byte | (q[v] >> 4 & 1) << (v / 4));
  }
}

/// Bits 4 and 5 of each value.
void put_high_pairs(QuadVector* bits, int row, const Values& q) {
  for (int v = 0; v < kGroupValues; ++v) {
    uint8_t& byte = bits[v / 16][byte_of(row, v)];
    byte = static_cast<uint8_t>(byte | (q[v] >> 4 & 3) << (v / 4 % 4 * 2));
  }
}

// ---- one block of a file into one row of a panel's block

void put(PanelQ4_0& to, int h, int i, const FileQ4_0& from) {
  to.d[h][i] = from.d;
  Values q;
  from.unpack(q);
  put_nibbles(to.nibbles[h], i, q);
}

void put(PanelQ4_1& to, int h, int i, const FileQ4_1& from) {
  to.d[h][i] = from.d;
  to.m[h][i] = from.m;
  Values q;
  from.unpack(q);
  put_nibbles(to.nibbles[h], i, q);
}

void put(PanelQ5_0& to, int h, int i, const FileQ5_0& from) {
  to.d[h][i] = from.d;
  Values q;
  from.unpack(q);
  put_nibbles(to.nibbles[h], i, q);
  put_fifth_bits(to.high_bits[h], i, q);
}

void put(PanelQ5_1& to, int h, int i, const FileQ5_1& from) {
  to.d[h][i] = from.d;
  to.m[h][i] = from.m;
  Values q;
  from.unpack(q);
  put_nibbles(to.nibbles[h], i, q);
  put_fifth_bits(to.high_bits[h], i, q);
}

void put(PanelQ8_0& to, int h, int i, const FileQ8_0& from) {
  to.d[h][i] = from.d;
  for (int v = 0; v < kGroupValues; ++v) {
    to.bytes[h][v / 4][byte_of(i, v)] = static_cast<uint8_t>(from.q[v] + 128);
  }
}

/// Q4_K, Q5_K: scale and minimum of 6 bits become bytes.
template <class Panel, class File>
void put_with_minima(Panel& to, int h, int i, const File& from) {
  to.d[h][i] = from.d;
  to.d_min[h][i] = from.d_min;
  for (int g = 0; g < kSuperblockGroups; ++g) {
    typename Panel::Group& group = to.groups[g];
    group.scale[h][i] = from.scale(g);
    group.minimum[h][i] = from.minimum(g);
    Values q;
    from.unpack(g, q);
    put_nibbles(group.nibbles[h], i, q);
    if constexpr (requires { group.high_bits; }) put_fifth_bits(group.high_bits[h], i, q);
  }
}
void put(PanelQ4_K& to, int h, int i, const FileQ4_K& from) { put_with_minima(to, h, i, from); }
void put(PanelQ5_K& to, int h, int i, const FileQ5_K& from) { put_with_minima(to, h, i, from); }

void put(PanelQ6_K& to, int h, int i, const FileQ6_K& from) {
  to.d[h][i] = from.d;
  for (int g = 0; g < kSuperblockGroups; ++g) {
    PanelQ6_K::Group& group = to.groups[g];
    group.scale[0][h][i] = from.scales[2 * g];
    group.scale[1][h][i] = from.scales[2 * g + 1];
    Values q;
    from.unpack(g, q);
    put_nibbles(group.nibbles[h], i, q);
    put_high_pairs(group.high_bits[h], i, q);
  }
}

void put(PanelF32& to, int h, int i, const float& from) { to.w[h][i] = from; }
void put(PanelF16& to, int h, int i, const FileF16& from) { to.w[h][i] = from.bits; }
void put(PanelBf16& to, int h, int i, const FileF16& from) { to.w[h][i] = from.bits; }

template <Format kFormat, class File>
struct Packing {
  using Panel = PanelOf<kFormat>;
  using Block = typename Panel::Block;

  static void put_row(std::byte* panel, uint32_t row, const std::byte* from, uint32_t k) {
    Block* to = reinterpret_cast<Block*>(panel);
    for (uint32_t i = 0; i < k; i += Panel::kValues, ++to, from += sizeof(File)) {
      File block;
      std::memcpy(&block, from, sizeof block);
      put(*to, static_cast<int>(row / kHalfRows), static_cast<int>(row % kHalfRows), block);
    }
  }
};

/// Calls f with the format's Packing.
template <class Function>
auto with_packing(Format format, const Function& f) {
  switch (format) {
    case Format::kF16: return f(Packing<Format::kF16, FileF16>());
    case Format::kBf16: return f(Packing<Format::kBf16, FileF16>());
    case Format::kQ4_0: return f(Packing<Format::kQ4_0, FileQ4_0>());
    case Format::kQ4_1: return f(Packing<Format::kQ4_1, FileQ4_1>());
    case Format::kQ5_0: return f(Packing<Format::kQ5_0, FileQ5_0>());
    case Format::kQ5_1: return f(Packing<Format::kQ5_1, FileQ5_1>());
    case Format::kQ8_0: return f(Packing<Format::kQ8_0, FileQ8_0>());
    case Format::kQ4_K: return f(Packing<Format::kQ4_K, FileQ4_K>());
    case Format::kQ5_K: return f(Packing<Format::kQ5_K, FileQ5_K>());
    case Format::kQ6_K: return f(Packing<Format::kQ6_K, FileQ6_K>());
    case Format::kF32: break;
  }
  return f(Packing<Format::kF32, float>());
}

}  // namespace

size_t panel_bytes(Format format, size_t k) {
  return with_packing(format, [&](auto packing) -> size_t {
    using Panel = typename decltype(packing)::Panel;
    return k / Panel::kValues * sizeof(typename Panel::Block);
  });
}

void put_row(Format format, std::byte* panel, uint32_t row, const std::byte* file_row, uint32_t k) {
  with_packing(format, [&](auto packing) { packing.put_row(panel, row, file_row, k); });
}

void get_row(Format format, const std::byte* panel, uint32_t row, uint32_t k, float* out) {
  if (format_traits(format).activations == ActivationKind::kF32) {
    for (uint32_t i = 0; i < k; ++i) out[i] = panel_value(format, panel, row, i);
    return;
  }
  for (uint32_t g = 0; g < k / kGroupValues; ++g) {
    const GroupValues w = group_values(format, panel, row, g);
    const int length = kGroupValues / w.scale_count;
    for (int v = 0; v < kGroupValues; ++v) {  // exact but for the addition
      const float product = w.scales[v / length] * static_cast<float>(w.q[v] - w.offset);
      *out++ = w.has_minimum ? product + w.minimum : product;
    }
  }
}

}  // namespace pie::kernels
