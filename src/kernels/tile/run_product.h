#pragma once
#include "kernels/tile/product.h"

namespace pie::kernels {
namespace {

template <Format kFormat>
struct FormatIndex {
  static constexpr Format value = kFormat;
};

/// Every product but those of an empty matrix or batch.
template <class S>
void run_product(const Product& product) {
  const auto quantized = [&](auto format) PIE_INLINE_LAMBDA {
    static constexpr TileFunctions kTiles = quantized_tiles<S, decltype(format)::value>();
    run_tiles<S>(product, kTiles, kGroupValues);
  };
  const auto floats = [&](auto format) PIE_INLINE_LAMBDA {
    static constexpr TileFunctions kTiles = float_tiles<S, decltype(format)::value>();
    run_tiles<S>(product, kTiles, 1);
  };
  switch (product.format) {
    case Format::kF32: return floats(FormatIndex<Format::kF32>());
    case Format::kF16: return floats(FormatIndex<Format::kF16>());
    case Format::kBf16: return floats(FormatIndex<Format::kBf16>());
    case Format::kQ4_0: return quantized(FormatIndex<Format::kQ4_0>());
    case Format::kQ4_1: return quantized(FormatIndex<Format::kQ4_1>());
    case Format::kQ5_0: return quantized(FormatIndex<Format::kQ5_0>());
    case Format::kQ5_1: return quantized(FormatIndex<Format::kQ5_1>());
    case Format::kQ8_0: return quantized(FormatIndex<Format::kQ8_0>());
    case Format::kQ4_K: return quantized(FormatIndex<Format::kQ4_K>());
    case Format::kQ5_K: return quantized(FormatIndex<Format::kQ5_K>());
    case Format::kQ6_K: return quantized(FormatIndex<Format::kQ6_K>());
  }
}

}  // namespace
}  // namespace pie::kernels
