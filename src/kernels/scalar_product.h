#pragma once
#include "kernels/kernel_set.h"

namespace pie::kernels {

/// The product in plain loops, one element after the other: what the tiles of the other instruction
/// sets must equal bit for bit.
void scalar_product(const Product& product);

/// See peak.h.
uint64_t scalar_dot_products(uint64_t rounds);

}  // namespace pie::kernels
