#pragma once
#include <cstddef>
#include <cstdint>

namespace pie::kernels {

/// Element formats of weight matrices, as GGUF files hold them. A row is a sequence of blocks; the
/// block layouts are those of ggml (README.md lists them).
enum class Format : uint8_t {
  kF32,
  kF16,
  kBf16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};
constexpr int kFormatCount = 11;

/// What a product with weights of a format multiplies them with.
enum class ActivationKind : uint8_t {
  kInt8,  ///< int8, one f32 scale per 32 values: for all Q formats
  kF32,   ///< f32: for F32, F16 and BF16 weights
};

struct FormatTraits {
  const char* name;       ///< as in GGUF tools: "Q4_1"
  uint32_t block_values;  ///< values of a block; a row's length is a multiple of it
  uint32_t block_bytes;   ///< bytes of a block in the file
  ActivationKind activations;
};

const FormatTraits& format_traits(Format format);

/// Bytes of `rows` rows of `k` values in the file. `k` is a multiple of block_values.
size_t file_bytes(Format format, size_t rows, size_t k);

}  // namespace pie::kernels
