// simd/avx512.h over an emulation of its instructions. The emulation's names replace those of
// <immintrin.h>, which therefore must not be included here.
#include "kernels/testing/emulated_intrinsics.h"
//
#include "kernels/simd/avx512.h"
#include "kernels/testing/kernel_sets.h"
#include "kernels/tile/kernel_set_of.h"
#include "kernels/tile/peak.h"
#include "kernels/tile/run_product.h"

namespace pie::kernels {
const KernelSet kEmulatedAvx512Kernels =
    kernel_set_of<Avx512>(run_product<Avx512>, run_dot_products<Avx512>);
}
