#pragma once
#include <cstdint>

#include "kernels/isa.h"

namespace pie::kernels {

/// Keeps the instruction set's dot products busy for `rounds` rounds, all operands in registers,
/// and returns how many multiplications and additions that were: what a product's speed is held
/// against.
uint64_t run_peak_dot_products(Isa isa, uint64_t rounds);

}  // namespace pie::kernels
