#include "kernels/panel_values.h"

#include "kernels/half.h"
#include "kernels/tile/panels.h"

namespace pie::kernels {

namespace {

struct RowInPanel {
  int half, i;
  /// Place of value `v` of a group within its quad vector.
  int byte_of(int v) const { return 4 * i + v % 4; }
};

template <class Group>
void read_nibbles(const Group& group, RowInPanel row, GroupValues& out) {
  for (int v = 0; v < kGroupValues; ++v) {
    out.q[v] = group.nibbles[row.half][v / 8][row.byte_of(v)] >> (v / 4 % 2 * 4) & 15;
  }
}

template <class Group>
void read_fifth_bits(const Group& group, RowInPanel row, GroupValues& out) {
  for (int v = 0; v < kGroupValues; ++v) {
    const int bit = group.high_bits[row.half][row.byte_of(v)] >> (v / 4) & 1;
    out.q[v] = static_cast<uint8_t>(out.q[v] | bit << 4);
  }
}

GroupValues read(const PanelQ4_0& from, RowInPanel row, int) {
  GroupValues out = {.offset = 8, .scales = {f16_to_f32(from.d[row.half][row.i])}};
  read_nibbles(from, row, out);
  return out;
}

GroupValues read(const PanelQ4_1& from, RowInPanel row, int) {
  GroupValues out = {.scales = {f16_to_f32(from.d[row.half][row.i])},
                     .has_minimum = true,
                     .minimum = f16_to_f32(from.m[row.half][row.i])};
  read_nibbles(from, row, out);
  return out;
}

GroupValues read(const PanelQ5_0& from, RowInPanel row, int) {
  GroupValues out = {.offset = 16, .scales = {f16_to_f32(from.d[row.half][row.i])}};
  read_nibbles(from, row, out);
  read_fifth_bits(from, row, out);
  return out;
}

GroupValues read(const PanelQ5_1& from, RowInPanel row, int) {
  GroupValues out = {.scales = {f16_to_f32(from.d[row.half][row.i])},
                     .has_minimum = true,
                     .minimum = f16_to_f32(from.m[row.half][row.i])};
  read_nibbles(from, row, out);
  read_fifth_bits(from, row, out);
  return out;
}

GroupValues read(const PanelQ8_0& from, RowInPanel row, int) {
  GroupValues out = {.offset = 128, .scales = {f16_to_f32(from.d[row.half][row.i])}};
  for (int v = 0; v < kGroupValues; ++v) out.q[v] = from.bytes[row.half][v / 4][row.byte_of(v)];
  return out;
}

/// Q4_K, Q5_K. Both products are exact in f32.
template <class Panel>
GroupValues read_with_minima(const Panel& from, RowInPanel row, int g) {
  const typename Panel::Group& group = from.groups[g];
  GroupValues out = {
      .scales = {f16_to_f32(from.d[row.half][row.i]) * group.scale[row.half][row.i]},
      .has_minimum = true,
      .minimum = -f16_to_f32(from.d_min[row.half][row.i]) * group.minimum[row.half][row.i]};
  read_nibbles(group, row, out);
  if constexpr (requires { group.high_bits; }) read_fifth_bits(group, row, out);
  return out;
}
GroupValues read(const PanelQ4_K& from, RowInPanel row, int g) {
  return read_with_minima(from, row, g);
}
GroupValues read(const PanelQ5_K& from, RowInPanel row, int g) {
  return read_with_minima(from, row, g);
}

GroupValues read(const PanelQ6_K& from, RowInPanel row, int g) {
  const PanelQ6_K::Group& group = from.groups[g];
  const float d = f16_to_f32(from.d[row.half][row.i]);
  GroupValues out = {
      .offset = 32,
      .scale_count = 2,
      .scales = {d * group.scale[0][row.half][row.i], d * group.scale[1][row.half][row.i]}};
  read_nibbles(group, row, out);
  for (int v = 0; v < kGroupValues; ++v) {
    const int pair = group.high_bits[row.half][v / 16][row.byte_of(v)] >> (v / 4 % 4 * 2) & 3;
    out.q[v] = static_cast<uint8_t>(out.q[v] | pair << 4);
  }
  return out;
}

RowInPanel row_in_panel(uint32_t row) {
  return {static_cast<int>(row / kHalfRows), static_cast<int>(row % kHalfRows)};
}

template <Format kFormat>
GroupValues read_group(const std::byte* panel, uint32_t row, uint32_t group) {
  using Panel = PanelOf<kFormat>;
  constexpr uint32_t kGroups = Panel::kValues / kGroupValues;
  const auto* blocks = reinterpret_cast<const typename Panel::Block*>(panel);
  return read(blocks[group / kGroups], row_in_panel(row), static_cast<int>(group % kGroups));
}

}  // namespace

GroupValues group_values(Format format, const std::byte* panel, uint32_t row, uint32_t group) {
  switch (format) {
    case Format::kQ4_0: return read_group<Format::kQ4_0>(panel, row, group);
    case Format::kQ4_1: return read_group<Format::kQ4_1>(panel, row, group);
    case Format::kQ5_0: return read_group<Format::kQ5_0>(panel, row, group);
    case Format::kQ5_1: return read_group<Format::kQ5_1>(panel, row, group);
    case Format::kQ8_0: return read_group<Format::kQ8_0>(panel, row, group);
    case Format::kQ4_K: return read_group<Format::kQ4_K>(panel, row, group);
    case Format::kQ5_K: return read_group<Format::kQ5_K>(panel, row, group);
    case Format::kQ6_K: return read_group<Format::kQ6_K>(panel, row, group);
    case Format::kF32:
    case Format::kF16:
    case Format::kBf16: break;
  }
  return {};
}

float panel_value(Format format, const std::byte* panel, uint32_t row, uint32_t i) {
  const RowInPanel at = row_in_panel(row);
  if (format == Format::kF32) {
    return reinterpret_cast<const PanelF32*>(panel)[i].w[at.half][at.i];
  }
  const uint16_t bits = reinterpret_cast<const PanelF16*>(panel)[i].w[at.half][at.i];
  return format == Format::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

}  // namespace pie::kernels
