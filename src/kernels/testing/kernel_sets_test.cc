#include "kernels/testing/kernel_sets.h"

#include <cstdlib>
#include <cstring>

#include "kernels/tile/activation_panel.h"

namespace pie::kernels {

std::vector<NamedKernels> all_kernels() {
  std::vector<NamedKernels> sets;
  for (const Isa isa : supported_isas()) sets.push_back({isa_name(isa), &kernel_set(isa)});
#ifndef PIE_SCALAR_KERNELS_ONLY
  sets.push_back({"emulated avx512-vnni", &kEmulatedAvx512Kernels});
#endif
  return sets;
}

PackedActivations make_activations(ActivationKind kind, uint32_t tokens, uint32_t k) {
  const size_t bytes = (activation_bytes(kind, tokens, k) + 63) / 64 * 64 + 64;
  const std::shared_ptr<std::byte> memory(static_cast<std::byte*>(std::aligned_alloc(64, bytes)),
                                          [](std::byte* p) { std::free(p); });
  std::memset(memory.get(), 0xAA, bytes);
  return {{.kind = kind, .token_count = tokens, .k = k, .data = memory.get()}, memory};
}

PackedActivations pack(const KernelSet& kernels, ActivationKind kind, const std::vector<float>& x,
                       uint32_t tokens, uint32_t k) {
  PackedActivations packed = make_activations(kind, tokens, k);
  kernels.pack_activations(packed.view, x.data(), k, 0, tokens);
  return packed;
}

void multiply(const KernelSet& kernels, const PackedMatrix& weights, const Activations& activations,
              uint32_t begin, uint32_t end, const Epilogue& epilogue) {
  kernels.product({.format = weights.format(),
                   .panels = weights.panel(0),
                   .panel_bytes = weights.panel_bytes(),
                   .rows = weights.rows(),
                   .k = weights.k(),
                   .gated = weights.gated(),
                   .activations = activations.data,
                   .token_bytes = activation_token_bytes(activations.kind, activations.k),
                   .token_count = activations.token_count,
                   .panel_begin = begin,
                   .panel_end = end,
                   .epilogue = epilogue});
}

std::vector<float> product(const KernelSet& kernels, const PackedMatrix& weights,
                           const Activations& activations) {
  std::vector<float> y(size_t{activations.token_count} * weights.rows());
  multiply(kernels, weights, activations, 0, weights.panel_count(),
           {.y = y.data(), .stride = weights.rows()});
  return y;
}

}  // namespace pie::kernels
