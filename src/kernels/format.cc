#include "kernels/format.h"

#include "base/check.h"

namespace pie::kernels {

namespace {
constexpr FormatTraits kTraits[kFormatCount] = {
    {"F32", 1, 4, ActivationKind::kF32},       {"F16", 1, 2, ActivationKind::kF32},
    {"BF16", 1, 2, ActivationKind::kF32},      {"Q4_0", 32, 18, ActivationKind::kInt8},
    {"Q4_1", 32, 20, ActivationKind::kInt8},   {"Q5_0", 32, 22, ActivationKind::kInt8},
    {"Q5_1", 32, 24, ActivationKind::kInt8},   {"Q8_0", 32, 34, ActivationKind::kInt8},
    {"Q4_K", 256, 144, ActivationKind::kInt8}, {"Q5_K", 256, 176, ActivationKind::kInt8},
    {"Q6_K", 256, 210, ActivationKind::kInt8},
};
}  // namespace

const FormatTraits& format_traits(Format format) { return kTraits[static_cast<int>(format)]; }

size_t file_bytes(Format format, size_t rows, size_t k) {
  const FormatTraits& traits = format_traits(format);
  PIE_CHECK(k % traits.block_values == 0);
  return rows * (k / traits.block_values) * traits.block_bytes;
}

}  // namespace pie::kernels
