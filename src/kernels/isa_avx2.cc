#include "kernels/simd/avx2.h"
#include "kernels/tile/kernel_set_of.h"
#include "kernels/tile/peak.h"
#include "kernels/tile/run_product.h"

namespace pie::kernels {
const KernelSet kAvx2Kernels = kernel_set_of<Avx2>(run_product<Avx2>, run_dot_products<Avx2>);
}
