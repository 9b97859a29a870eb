#pragma once
#include <memory>
#include <vector>

#include "kernels/kernel_set.h"

namespace pie::kernels {

struct NamedKernels {
  const char* name;
  const KernelSet* kernels;
};

/// The AVX-512 kernels compiled against an emulation of its instructions (SIMDe), so that every
/// machine runs their code.
extern const KernelSet kEmulatedAvx512Kernels;

/// What this machine can run: all supported_isas() and the emulated one.
std::vector<NamedKernels> all_kernels();

/// Packed activations with their memory.
struct PackedActivations {
  Activations view;
  std::shared_ptr<std::byte> memory;
};

PackedActivations pack(const KernelSet& kernels, ActivationKind kind, const std::vector<float>& x,
                       uint32_t tokens, uint32_t k);

/// Empty activations of that shape, all bytes 0xAA.
PackedActivations make_activations(ActivationKind kind, uint32_t tokens, uint32_t k);

/// The product of panels [begin, end) by these kernels.
void multiply(const KernelSet& kernels, const PackedMatrix& weights, const Activations& activations,
              uint32_t begin, uint32_t end, const Epilogue& epilogue);

/// All panels, stored: f32 [tokens, rows].
std::vector<float> product(const KernelSet& kernels, const PackedMatrix& weights,
                           const Activations& activations);

}  // namespace pie::kernels
