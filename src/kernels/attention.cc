#include "kernels/attention.h"

namespace pie::kernels {

extern const AttentionKernels kScalarAttention[];  // attention_<isa>.cc, by PageFormat
extern const AttentionKernels kAvx2Attention[];
extern const AttentionKernels kAvx512Attention[];

void clear_partial(float* partial) { partial[0] = partial[1] = 0.0F; }

const AttentionKernels& attention_kernels(Isa isa, PageFormat format) {
  const auto index = static_cast<size_t>(format);
  switch (isa) {
#ifndef PIE_SCALAR_KERNELS_ONLY
    case Isa::kAvx512Vnni: return kAvx512Attention[index];
    case Isa::kAvx2: return kAvx2Attention[index];
#endif
    default: break;
  }
  return kScalarAttention[index];
}

}  // namespace pie::kernels
