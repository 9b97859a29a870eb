#include "base/check.h"
#include "kernels/kernel_set.h"
#include "kernels/low_rank.h"
#include "kernels/peak.h"
#include "kernels/tile/activation_panel.h"

namespace pie::kernels {

namespace {
void check_range(const Activations& out, uint32_t begin, uint32_t end) {
  PIE_CHECK(begin <= end && end <= out.token_count);
  PIE_CHECK(out.kind == ActivationKind::kF32 || out.k % 32 == 0);
}
}  // namespace

size_t activation_bytes(ActivationKind kind, size_t token_count, size_t k) {
  return token_count * activation_token_bytes(kind, k);
}

void pack_activations(Isa isa, const Activations& out, const float* x, size_t stride,
                      uint32_t token_begin, uint32_t token_end) {
  check_range(out, token_begin, token_end);
  kernel_set(isa).pack_activations(out, x, stride, token_begin, token_end);
}

void rms_norm_pack(Isa isa, const Activations& out, const float* x, size_t stride,
                   const float* weight, float epsilon, uint32_t token_begin, uint32_t token_end) {
  check_range(out, token_begin, token_end);
  PIE_CHECK(out.kind == ActivationKind::kInt8);
  kernel_set(isa).rms_norm_pack(out, x, stride, weight, epsilon, token_begin, token_end);
}

void matmul(Isa isa, const PackedMatrix& weights, const Activations& activations,
            uint32_t panel_begin, uint32_t panel_end, const Epilogue& epilogue) {
  PIE_CHECK(activations.kind == format_traits(weights.format()).activations);
  PIE_CHECK(activations.k == weights.k());
  PIE_CHECK(panel_end <= weights.panel_count());
  const bool gated_op =
      epilogue.op == Epilogue::Op::kSiluMul || epilogue.op == Epilogue::Op::kGeluMul;
  PIE_CHECK(gated_op == weights.gated());
  PIE_CHECK(!gated_op || epilogue.bias == nullptr);
  if (panel_begin >= panel_end || activations.token_count == 0 || weights.k() == 0) return;
  kernel_set(isa).product({.format = weights.format(),
                           .panels = weights.panel(0),
                           .panel_bytes = weights.panel_bytes(),
                           .rows = weights.rows(),
                           .k = weights.k(),
                           .gated = weights.gated(),
                           .activations = activations.data,
                           .token_bytes = activation_token_bytes(activations.kind, activations.k),
                           .token_count = activations.token_count,
                           .panel_begin = panel_begin,
                           .panel_end = panel_end,
                           .epilogue = epilogue});
}

double matmul_error_factor(Format format, uint32_t k) {
  // README.md, "Error of a product": the roundings that a term goes through.
  constexpr double kUnit = 0x1p-24 * 1.001;
  switch (format) {
    case Format::kF32:
    case Format::kF16:
    case Format::kBf16: return kUnit * k;
    case Format::kQ4_1:
    case Format::kQ5_1:
    case Format::kQ4_K:
    case Format::kQ5_K:
    case Format::kQ6_K: return kUnit * (2.0 * (k / 32) + 1.0);
    case Format::kQ4_0:
    case Format::kQ5_0:
    case Format::kQ8_0: break;
  }
  return kUnit * (k / 32 + 1.0);
}

void rms_norm(Isa isa, const float* x, const float* weight, float epsilon, uint32_t n, float* y) {
  if (n > 0) kernel_set(isa).rms_norm(x, weight, epsilon, n, y);
}

void rope(Isa isa, const RopeShape& shape, const float* cosines, const float* sines, float* x) {
  PIE_CHECK(shape.rotated <= shape.head_size);
  PIE_CHECK(shape.rotated % 2 == 0);
  kernel_set(isa).rope(shape, cosines, sines, x);
}

void add(Isa isa, const float* x, uint32_t n, float* y) { kernel_set(isa).add(x, n, y); }

void scale(Isa isa, const float* x, float factor, uint32_t n, float* y) {
  kernel_set(isa).scale(x, factor, n, y);
}

void soft_cap(Isa isa, const float* x, float cap, uint32_t n, float* y) {
  kernel_set(isa).soft_cap(x, cap, n, y);
}

void silu_mul(Isa isa, const float* gate, const float* up, uint32_t n, float* y) {
  kernel_set(isa).silu_mul(gate, up, n, y);
}

void gelu_mul(Isa isa, const float* gate, const float* up, uint32_t n, float* y) {
  kernel_set(isa).gelu_mul(gate, up, n, y);
}

void exp(Isa isa, const float* x, uint32_t n, float* y) { kernel_set(isa).exp(x, n, y); }

void low_rank_in(Isa isa, const float* a, float factor, uint32_t rank, uint32_t n, const float* x,
                 float* u) {
  kernel_set(isa).low_rank_in(a, factor, rank, n, x, u);
}

void low_rank_out(Isa isa, const float* b, uint32_t rank, uint32_t n, const float* u, float* y) {
  kernel_set(isa).low_rank_out(b, rank, n, u, y);
}

uint64_t run_peak_dot_products(Isa isa, uint64_t rounds) {
  return kernel_set(isa).peak_dot_products(rounds);
}

}  // namespace pie::kernels
