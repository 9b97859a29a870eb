#include "kernels/isa.h"

#include "base/check.h"
#include "kernels/kernel_set.h"

namespace pie::kernels {

namespace {
constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512Vnni};

/// __builtin_cpu_supports also asks the operating system whether it saves the registers.
size_t count_supported() {
#ifdef PIE_SCALAR_KERNELS_ONLY  // built under a sanitizer (CMakeLists.txt)
  return 1;
#endif
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (!avx2) return 1;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  return avx512 ? 3 : 2;
}
}  // namespace

std::span<const Isa> supported_isas() {
  static const size_t count = count_supported();
  return {kAll, count};
}

Isa best_isa() { return supported_isas().back(); }

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar: return "scalar";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512Vnni: return "avx512-vnni";
  }
  return "";
}

const KernelSet& kernel_set(Isa isa) {
  switch (isa) {
#ifndef PIE_SCALAR_KERNELS_ONLY
    case Isa::kAvx2: return kAvx2Kernels;
    case Isa::kAvx512Vnni: return kAvx512VnniKernels;
#endif
    default: break;
  }
  return kScalarKernels;
}

}  // namespace pie::kernels
