#include <immintrin.h>

#include "kernels/simd/avx512.h"
#include "kernels/tile/attention_impl.h"

namespace pie::kernels {
extern const AttentionKernels kAvx512Attention[];
const AttentionKernels kAvx512Attention[] = PIE_ATTENTION_KERNELS(Avx512);
}  // namespace pie::kernels
