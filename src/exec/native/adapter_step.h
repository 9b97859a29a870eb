#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/mapping.h"
#include "base/thread_pool.h"
#include "exec/native/step_plan.h"
#include "kernels/isa.h"
#include "model/adapter.h"
#include "model/architecture.h"

namespace pie::exec {

/// Matrices with the same input, whose outputs follow each other: as NativeProjection has them.
enum class AdaptedInput : uint8_t { kQueryKeyValue, kAttentionOutput, kGateUp, kDown };

/// Computes what adapters add to the products of their rows: factor * B (A x) in f32, by row. What
/// a row gets depends on its input and adapter alone. Steps without adapters cost nothing here.
class AdapterStep {
 public:
  /// All rows of the step, or those that are asked for.
  enum class Rows : uint8_t { kAll, kOutputs };
  /// Inputs: row r at x + r * stride, after an RMS norm when there is one.
  struct Source {
    const float* x;
    size_t stride;
    const float* norm;
  };

  AdapterStep(const model::Architecture& architecture, kernels::Isa isa, uint32_t rows_max,
              uint32_t thread_count);

  /// One thread, before the step. Throws std::bad_alloc.
  void begin(const StepPlan& plan);
  /// What is added to the products of `input` in this layer, by row
  /// (kernels::Epilogue::token_bias); null when no row has an adapter. Valid until the next call.
  /// Every thread of the team calls it, after a meeting that makes the inputs complete and ended
  /// the use of the last one's.
  const float* const* add(Team& team, uint32_t layer, AdaptedInput input, Rows which,
                          const Source& source);

 private:
  struct Adapted {
    uint32_t row = 0;
    const model::Adapter* adapter = nullptr;
  };
  struct List {
    std::vector<Adapted> rows;
    std::vector<const float*> added;  ///< by row
  };
  void add_part(uint32_t layer, model::TensorRole role, const model::Adapter& adapter,
                const float* x, uint32_t thread, float* out) const;

  const model::Architecture& arch_;
  const kernels::Isa isa_;
  const uint32_t inputs_max_, outputs_max_;  ///< widest input, widest outputs together
  std::array<List, 2> lists_;                ///< by Rows
  Mapping added_;                            ///< f32 [adapted rows, outputs_max_]
  Mapping scratch_;                          ///< f32 of each thread: a normed input, then A x
};

}  // namespace pie::exec
