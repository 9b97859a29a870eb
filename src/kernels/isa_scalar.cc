#include "kernels/scalar_product.h"
#include "kernels/simd/scalar.h"
#include "kernels/tile/kernel_set_of.h"

namespace pie::kernels {
const KernelSet kScalarKernels = kernel_set_of<Scalar>(scalar_product, scalar_dot_products);
}
