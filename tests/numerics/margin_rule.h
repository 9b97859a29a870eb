#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "numerics/reference.h"

namespace pie::test {

/// How far a logit may be from the reference's. Derivation and measurements: docs/NUMERICS.md.
inline constexpr float kLogitTolerance = 1.34F;

/// Above this margin between the two best logits the reference's choice is clear. It is narrower
/// than twice the tolerance because most of a logit's error is common to all logits of its row, and
/// does not move one against another (docs/NUMERICS.md).
inline constexpr float kClearMargin = 0.75F;

/// Where a greedy continuation first leaves the reference's.
struct Divergence {
  size_t step = 0;
  int32_t got = 0;
  ReferenceStep reference;

  /// A different token at a clear margin is wrong; below it the two go separate ways, and what
  /// follows cannot be compared.
  bool is_error() const { return reference.margin > kClearMargin; }
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
