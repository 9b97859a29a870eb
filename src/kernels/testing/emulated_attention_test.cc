// Attention compiled against the emulation of AVX-512: see emulated_avx512_test.cc.
#include "kernels/testing/emulated_intrinsics.h"
//
#include "kernels/simd/avx512.h"
#include "kernels/tile/attention_impl.h"

namespace pie::kernels {
extern const AttentionKernels kEmulatedAvx512Attention[];
const AttentionKernels kEmulatedAvx512Attention[] = PIE_ATTENTION_KERNELS(Avx512);
}  // namespace pie::kernels
