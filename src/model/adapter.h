#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "model/weights.h"

namespace pie::model {

struct Architecture;

/// The matrices of a layer that an adapter can change.
inline constexpr std::array kAdaptedRoles = {
    TensorRole::kQuery,   TensorRole::kKey,   TensorRole::kValue,  TensorRole::kAttentionOutput,
    TensorRole::kFfnGate, TensorRole::kFfnUp, TensorRole::kFfnDown};
/// More than anybody trains.
constexpr uint32_t kAdapterRankMax = 512;
/// Candidates of one update of an adapter that evolves, at most.
constexpr uint32_t kPopulationMax = 4096;

/// What B A is multiplied with. As llama.cpp has it: an alpha of 0 leaves it as it is.
inline float low_rank_factor(float alpha, uint32_t rank) {
  return alpha == 0 ? 1.0F : alpha / static_cast<float>(rank);
}

/// Inputs and outputs of one of kAdaptedRoles.
struct MatrixSize {
  uint32_t inputs = 0, outputs = 0;
};
MatrixSize adapted_size(const Architecture& architecture, TensorRole role);

/// What is added to one matrix W of a layer (Hu et al. 2021): W + factor * B A.
struct LowRank {
  uint32_t rank = 0;   ///< 0 = nothing is added
  float factor = 0;    ///< low_rank_factor()
  size_t first_a = 0;  ///< A [rank, inputs] begins at this value of Adapter::a
  size_t first_b = 0;  ///< B transposed, [rank, outputs], at this value of Adapter::b
};

/// Where an evolution strategy over an adapter stands (model/evolution.h).
struct Evolution {
  uint32_t population_size = 0;
  float mu_fraction = 0;    ///< of the candidates, the best: what the next mean is made from
  float sigma = 0;          ///< standard deviation of the candidates' B
  uint32_t generation = 0;  ///< updates so far
  std::shared_ptr<const Mapping> path;  ///< f32, as many as B's: the path of the means (CSA)
};

/// A low-rank adapter of one model, f32. Immutable: who changes one makes another, which may share
/// what stays as it is.
struct Adapter {
  uint64_t id = 0;  ///< given by seal(): no other adapter has it
  float alpha = 0;
  std::vector<LowRank> matrices;        ///< [layer][kAdaptedRoles]
  std::shared_ptr<const Mapping> a, b;  ///< f32
  std::optional<Evolution> evolution;   ///< absent: it does not evolve
  std::shared_ptr<const void> charge;   ///< gives back what it was charged, in the end

  /// What is added to a matrix of kAdaptedRoles; null for nothing.
  const LowRank* find(TensorRole role, uint32_t layer) const;
  const float* a_of(const LowRank& matrix) const { return a->as<float>() + matrix.first_a; }
  const float* b_of(const LowRank& matrix) const { return b->as<float>() + matrix.first_b; }
  std::span<const float> b_values() const { return {b->as<float>(), b->size() / sizeof(float)}; }
};
using AdapterRef = std::shared_ptr<const Adapter>;

/// The adapter, not to be changed any more, under an id of its own. Thread-safe.
AdapterRef seal(Adapter adapter);

/// Makes an adapter in pieces, so that whoever works for others can stop between them. What it was
/// started from stays as it is.
class AdapterWork {
 public:
  virtual ~AdapterWork() = default;
  /// One piece, of some milliseconds; whether there is more. Throws std::bad_alloc.
  virtual Result<bool> advance() = 0;
  /// Once, after the last piece.
  virtual Adapter take() = 0;
};

/// Where matrices lie in A and B, as they are added one after the other.
struct AdapterLayout {
  std::vector<LowRank> matrices;
  size_t a_count = 0, b_count = 0;  ///< values

  /// The next matrix in the order of Adapter::matrices.
  void add(MatrixSize size, uint32_t rank, float factor);
  /// Bytes of A and B.
  uint64_t size_bytes() const { return (a_count + b_count) * sizeof(float); }
};

}  // namespace pie::model
