#pragma once
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>

#include "model/adapter.h"
#include "model/architecture.h"

namespace pie::test {

struct AdapterShape {
  uint32_t rank = 4;
  uint32_t seed = 1;
  float strength = 1.0F;  ///< of what it adds, beside the input's root mean square
  float alpha = 8.0F;
  bool skips_some = false;  ///< whole layers, and K and the gate of all
};

/// An adapter of random weights over all matrices, the same on every run.
inline model::AdapterRef random_adapter(const model::Architecture& architecture,
                                        const AdapterShape& shape = {}) {
  model::AdapterLayout layout;
  for (uint32_t layer = 0; layer < architecture.layer_count; ++layer) {
    for (const model::TensorRole role : model::kAdaptedRoles) {
      const bool skipped = shape.skips_some && (layer % 3 == 1 || role == model::TensorRole::kKey ||
                                                role == model::TensorRole::kFfnGate);
      layout.add(model::adapted_size(architecture, role), skipped ? 0 : shape.rank,
                 model::low_rank_factor(shape.alpha, shape.rank));
    }
  }
  std::mt19937 random(shape.seed);
  const auto draw = [&](size_t count, float deviation) {
    auto values = std::make_shared<Mapping>(count * sizeof(float));
    std::normal_distribution<float> normal(0.0F, deviation);
    for (size_t i = 0; i < count; ++i) values->as<float>()[i] = normal(random);
    return values;
  };
  model::Adapter adapter;
  adapter.alpha = shape.alpha;
  adapter.a =
      draw(layout.a_count, 1.0F / std::sqrt(static_cast<float>(architecture.embedding_size)));
  const float factor = model::low_rank_factor(shape.alpha, shape.rank);
  adapter.b =
      draw(layout.b_count, shape.strength / factor / std::sqrt(static_cast<float>(shape.rank)));
  adapter.matrices = std::move(layout.matrices);
  return model::seal(std::move(adapter));
}

}  // namespace pie::test
