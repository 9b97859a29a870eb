#pragma once
#include <span>
#include <vector>

#include "model/architecture.h"

namespace pie::model {

/// A rotary embedding in numbers: pair i of a token at position p turns by p * frequencies[i], and
/// both of its elements are multiplied by `magnitude`.
struct RopeTable {
  std::vector<double> frequencies;  ///< radians a position, rope.dims / 2 of them
  double magnitude = 1.0;
};

/// Frequencies with scaling applied (Su et al., 2021, section 3.4.2; YaRN: Peng et al., 2023,
/// section 3.2 to 3.4). `factors`: TensorRole::kRopeFactors as f32, empty where the rope has none.
RopeTable rope_table(const Rope& rope, std::span<const float> factors);

}  // namespace pie::model
