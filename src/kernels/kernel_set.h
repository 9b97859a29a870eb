#pragma once
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/small_ops.h"

namespace pie::kernels {
/// A product as the instruction sets' files see it: plain numbers, nothing to call.
struct Product {
  Format format;
  const std::byte* panels;
  size_t panel_bytes;
  uint32_t rows;  ///< of the output
  uint32_t k;
  bool gated;
  const std::byte* activations;
  size_t token_bytes;
  uint32_t token_count;
  uint32_t panel_begin, panel_end;
  Epilogue epilogue;
};

/// The kernels of one instruction set: what isa_*.cc fill in. Callers use the functions of
/// matmul.h, quantize.h, small_ops.h and low_rank.h; tests also reach sets that this machine lacks.
struct KernelSet {
  void (*product)(const Product&);
  void (*pack_activations)(const Activations&, const float*, size_t, uint32_t, uint32_t);
  void (*rms_norm)(const float*, const float*, float, uint32_t, float*);
  void (*rms_norm_pack)(const Activations&, const float*, size_t, const float*, float, uint32_t,
                        uint32_t);
  void (*rope)(const RopeShape&, const float*, const float*, float*);
  void (*add)(const float*, uint32_t, float*);
  void (*scale)(const float*, float, uint32_t, float*);
  void (*soft_cap)(const float*, float, uint32_t, float*);
  void (*silu_mul)(const float*, const float*, uint32_t, float*);
  void (*gelu_mul)(const float*, const float*, uint32_t, float*);
  void (*exp)(const float*, uint32_t, float*);
  void (*low_rank_in)(const float*, float, uint32_t, uint32_t, const float*, float*);
  void (*low_rank_out)(const float*, uint32_t, uint32_t, const float*, float*);
  uint64_t (*peak_dot_products)(uint64_t);
};

extern const KernelSet kScalarKernels;
extern const KernelSet kAvx2Kernels;
extern const KernelSet kAvx512VnniKernels;

const KernelSet& kernel_set(Isa isa);

}  // namespace pie::kernels
