#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "numerics/reference.h"

namespace pie::test {

/// What may differ on one model. Derivation and measurements: docs/NUMERICS.md.
struct Tolerance {
  /// How far a logit may be from the reference's.
  float logit;
  /// Above this margin between the two best logits the reference's choice is clear. It is narrower
  /// than twice the tolerance because most of a logit's error is common to all logits of its row,
  /// and does not move one against another.
  float clear_margin;
};

/// Of SmolLM2-135M-Instruct (Q4_1).
inline constexpr Tolerance kDefaultTolerance = {1.34F, 0.75F};
/// Of Gemma 3 270M (Q4_K_M), whose K-quants the reference repacks by default.
inline constexpr Tolerance kGemmaTolerance = {2.11F, 1.52F};

inline constexpr float kLogitTolerance = kDefaultTolerance.logit;
inline constexpr float kClearMargin = kDefaultTolerance.clear_margin;

/// How far the reference's logits of the default model are from those of exact products, which is
/// what its 8-bit activations cost (docs/NUMERICS.md). Kernels with other roundings are allowed the
/// same, so that they and the reference may be twice as far apart.
inline constexpr float kReferenceToExact = 1.31F;

/// How far the reference's logits under an adapter of F16 may be from those under the same numbers
/// in F32, which it multiplies with activations that are not rounded (docs/NUMERICS.md).
inline constexpr float kAdapterTypeTolerance = 2.12F;

/// Where a greedy continuation first leaves the reference's.
struct Divergence {
  size_t step = 0;
  int32_t got = 0;
  ReferenceStep reference;

  /// A different token at a clear margin is wrong; below it the two go separate ways, and what
  /// follows cannot be compared.
  bool is_error(float clear_margin = kClearMargin) const { return reference.margin > clear_margin; }
};

/// The first difference within the common length; nothing when there is none.
inline std::optional<Divergence> first_divergence(std::span<const int32_t> got,
                                                  std::span<const ReferenceStep> reference) {
  for (size_t i = 0; i < got.size() && i < reference.size(); ++i) {
    if (got[i] != reference[i].token) return Divergence{i, got[i], reference[i]};
  }
  return std::nullopt;
}

}  // namespace pie::test
