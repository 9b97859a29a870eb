#include "kernels/simd/scalar.h"
#include "kernels/tile/attention_impl.h"

namespace pie::kernels {
extern const AttentionKernels kScalarAttention[];
const AttentionKernels kScalarAttention[] = PIE_ATTENTION_KERNELS(Scalar);
}  // namespace pie::kernels
