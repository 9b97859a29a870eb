#include "kernels/simd/scalar.h"
#include "kernels/tile/attention_impl.h"

namespace pie::kernels {
extern const AttentionKernels kScalarAttention;
const AttentionKernels kScalarAttention = attention_kernels_of<Scalar>();
}  // namespace pie::kernels
