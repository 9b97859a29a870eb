#include "kernels/simd/avx2.h"
#include "kernels/tile/attention_impl.h"

namespace pie::kernels {
extern const AttentionKernels kAvx2Attention[];
const AttentionKernels kAvx2Attention[] = PIE_ATTENTION_KERNELS(Avx2);
}  // namespace pie::kernels
