#include <immintrin.h>

#include "kernels/simd/avx512.h"
#include "kernels/tile/kernel_set_of.h"
#include "kernels/tile/peak.h"
#include "kernels/tile/run_product.h"

namespace pie::kernels {
const KernelSet kAvx512VnniKernels =
    kernel_set_of<Avx512>(run_product<Avx512>, run_dot_products<Avx512>);
}
