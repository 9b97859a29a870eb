#include "kernels/scalar_product.h"

#include <cmath>
#include <vector>

#include "kernels/panel_values.h"
#include "kernels/simd/math.h"
#include "kernels/simd/scalar.h"
#include "kernels/tile/activation_panel.h"
#include "kernels/tile/panels.h"

namespace pie::kernels {

namespace {

/// The activations of one token: element i of a per-token number of group g.
struct TokenReader {
  const std::byte* tile;
  size_t tokens;  // of the tile
  size_t index;   // in it

  const std::byte* group(size_t g) const { return tile + g * tokens * kActivationGroupBytes; }
  const int8_t* q(size_t g) const {
    return reinterpret_cast<const int8_t*>(group(g)) + index * kGroupValues;
  }
  float d(size_t g) const { return number(g, 0); }
  float d_sum(size_t g) const { return number(g, 1); }
  float value(size_t i) const { return reinterpret_cast<const float*>(tile)[i * tokens + index]; }

 private:
  float number(size_t g, size_t which) const {
    return reinterpret_cast<const float*>(group(g) + tokens * kGroupValues)[which * tokens + index];
  }
};

TokenReader reader_of(const Product& product, uint32_t token) {
  const uint32_t tile = tile_of(product.token_count, token);
  const uint32_t first = tile_begin(product.token_count, tile);
  return {product.activations + first * product.token_bytes,
          tile_begin(product.token_count, tile + 1) - first, token - first};
}

float quantized_sum(const Product& product, const std::byte* panel, uint32_t row,
                    const TokenReader& x) {
  float f = 0;
  for (uint32_t g = 0; g < product.k / kGroupValues; ++g) {
    const GroupValues w = group_values(product.format, panel, row, g);
    const int8_t* q = x.q(g);
    const int length = kGroupValues / w.scale_count;
    for (int part = 0; part < w.scale_count; ++part) {
      int32_t sum = 0;
      for (int v = part * length; v < (part + 1) * length; ++v) sum += (w.q[v] - w.offset) * q[v];
      f = std::fma(static_cast<float>(sum) * x.d(g), w.scales[part], f);
    }
    if (w.has_minimum) f = std::fma(w.minimum, x.d_sum(g), f);
  }
  return f;
}

float float_sum(const Product& product, const std::byte* panel, uint32_t row,
                const TokenReader& x) {
  float f = 0;
  for (uint32_t i = 0; i < product.k; ++i) {
    f = std::fma(panel_value(product.format, panel, row, i), x.value(i), f);
  }
  return f;
}

float sum(const Product& product, uint32_t panel, uint32_t row, const TokenReader& x) {
  const std::byte* data = product.panels + panel * product.panel_bytes;
  return format_traits(product.format).activations == ActivationKind::kInt8
             ? quantized_sum(product, data, row, x)
             : float_sum(product, data, row, x);
}

void finish(const Product& product, uint32_t panel, uint32_t row, uint32_t token) {
  const Epilogue& epilogue = product.epilogue;
  const uint32_t rows_per_panel = product.gated ? kHalfRows : kPanelRows;
  const uint32_t output_row = panel * rows_per_panel + row;
  const TokenReader x = reader_of(product, token);
  float* y = epilogue.y + token * epilogue.stride + output_row;
  float s = sum(product, panel, row, x);
  const float* added = epilogue.token_bias == nullptr ? nullptr : epilogue.token_bias[token];
  if (added != nullptr) added += epilogue.token_bias_begin;
  if (product.gated) {
    float up = sum(product, panel, kHalfRows + row, x);
    if (added != nullptr) {
      s = s + added[output_row];
      up = up + added[product.rows + output_row];
    }
    const Scalar::F gate = Scalar::set1(s);
    const Scalar::F act =
        epilogue.op == Epilogue::Op::kSiluMul ? silu<Scalar>(gate) : gelu<Scalar>(gate);
    *y = act.v[0] * up;
    return;
  }
  if (epilogue.bias != nullptr) s = s + epilogue.bias[output_row];
  if (added != nullptr) s = s + added[output_row];
  *y = epilogue.op == Epilogue::Op::kAdd ? *y + s : s;
}

}  // namespace

void scalar_product(const Product& product) {
  const uint32_t rows_per_panel = product.gated ? kHalfRows : kPanelRows;
  for (uint32_t panel = product.panel_begin; panel < product.panel_end; ++panel) {
    for (uint32_t row = 0; row < rows_per_panel; ++row) {
      if (panel * rows_per_panel + row >= product.rows) break;
      for (uint32_t token = 0; token < product.token_count; ++token) {
        finish(product, panel, row, token);
      }
    }
  }
}

uint64_t scalar_dot_products(uint64_t rounds) {
  constexpr uint64_t kLength = 64;
  volatile uint8_t w[kLength] = {1, 2, 3};  // volatile: the products are done
  for (uint64_t round = 0; round < rounds; ++round) {
    int32_t sum = 0;
    for (const volatile uint8_t& weight : w) sum += weight * 3;
    w[0] = static_cast<uint8_t>(sum);
  }
  return rounds * kLength * 2;
}

}  // namespace pie::kernels
