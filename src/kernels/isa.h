#pragma once
#include <cstdint>
#include <span>

namespace pie::kernels {

/// The instruction sets that every kernel here is compiled for. A result never depends on which one
/// computes it: all do the same roundings in the same order (README.md).
enum class Isa : uint8_t {
  kScalar,      ///< portable C++
  kAvx2,        ///< AVX2, FMA, F16C
  kAvx512Vnni,  ///< AVX-512 F, BW, VL, DQ, VNNI
};

/// What this machine can run (processor and operating system), slowest first; kScalar always is.
std::span<const Isa> supported_isas();

/// The last of supported_isas().
Isa best_isa();

/// "scalar", "avx2", "avx512-vnni".
const char* isa_name(Isa isa);

}  // namespace pie::kernels
