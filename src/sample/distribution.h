#pragma once
#include <vector>

#include "base/strong_id.h"

namespace pie::sample {

/// The k most probable tokens and their probabilities, best first; equal ones by lower id.
struct Distribution {
  std::vector<TokenId> ids;
  std::vector<float> probabilities;
};

}  // namespace pie::sample
