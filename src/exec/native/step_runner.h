#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "exec/logits_executor.h"
#include "exec/native/activation_store.h"
#include "exec/native/adapter_step.h"
#include "exec/native/attention_step.h"
#include "exec/native/kv_pages.h"
#include "exec/native/native_weights.h"
#include "exec/native/step_plan.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "model/architecture.h"
#include "model/rope.h"

namespace pie::exec {

/// Computes a step: the whole forward pass as one job of a team of threads, in the order
///
///   embed | norm, quantise | Q K V | norm, turn, append | attention | quantise | O, + residual
///         | norm, quantise | gate, up, activation | quantise | down, + residual | ... | logits
///
/// with a meeting at each bar; rows with an adapter have what it adds computed before each product.
/// What a row gets depends on the row and what it sees alone: not on the other rows, on the number
/// of threads or on how the work was cut.
class StepRunner {
 public:
  StepRunner(const model::Architecture& architecture, const NativeWeights& weights,
             const KvPages& pages, kernels::Isa isa, uint32_t rows_max, uint32_t thread_count);

  /// Takes what memory the plan needs beyond what is there: run() takes none. Throws
  /// std::bad_alloc.
  void reserve(const StepPlan& plan) {
    attention_.reserve(plan);
    adapters_.begin(plan);
  }
  /// Every thread of the team calls it.
  void run(Team& team, const StepPlan& plan);
  /// What the last run() gave: valid until the next one.
  StepOutput output(const StepPlan& plan) const;

 private:
  /// The residual stream: all rows, or in the end those that are asked for.
  struct Rows {
    float* residual;
    uint32_t count;
    AdapterStep::Rows which;
  };
  void embed(Team& team, const StepPlan& plan);
  void turn_positions(const StepPlan& plan, uint32_t begin, uint32_t end);
  void attention_inputs(Team& team, const StepPlan& plan, uint32_t layer);
  void prepare_heads(const StepPlan& plan, uint32_t layer, uint32_t row, uint32_t kv_head);
  void gather_outputs(Team& team, const StepPlan& plan);
  void finish_attention(Team& team, uint32_t layer, const float* attended, Rows rows);
  void ffn(Team& team, uint32_t layer, Rows rows);
  void finish(Team& team, const StepPlan& plan);
  /// y (row t at y + t * stride) gets the product of a projection with packed activations.
  /// `added`: to each row before the epilogue, or null.
  void multiply(Team& team, const NativeProjection& projection, const ActivationSet& activations,
                kernels::Epilogue::Op op, const float* const* added, float* y, size_t stride);
  void add_branch(Team& team, const NativeProjection& projection, const ActivationSet& packed,
                  const float* const* added, const float* post_norm, Rows rows);
  void add_normed(Team& team, const float* norm, Rows rows);
  uint32_t qkv_width() const { return query_width_ + key_width_ + value_width_; }

  const model::Architecture& arch_;
  const NativeWeights& weights_;
  const KvPages& pages_;
  const kernels::Isa isa_;
  const kernels::AttentionShape shape_;
  const kernels::AttentionKernels& attention_kernels_;
  const uint32_t query_width_, key_width_, value_width_, result_width_;
  AttentionStep attention_;
  ActivationStore activations_;
  AdapterStep adapters_;

  struct Turns {  ///< of one rotary embedding
    model::RopeTable table;
    Mapping cosines, sines;  ///< f32 [rows, dims / 2]
  };
  std::vector<Turns> turns_;  ///< of layers that see all, then of windowed ones

  // f32, one row a token of the step,
  Mapping x_;         ///< [embedding_size], the residual stream
  Mapping qkv_;       ///< [qkv_width]
  Mapping attended_;  ///< [result_width]
  // ... or an output row, in the end:
  Mapping outputs_;   ///< [embedding_size], the residual stream
  Mapping gathered_;  ///< [result_width]
  Mapping inner_;     ///< [ffn_size], twice when gate and up stand in matrices of their own
  Mapping branch_;    ///< [embedding_size], what a post norm takes
  Mapping normed_;    ///< [embedding_size], hidden rows after the final norm
  Mapping logits_;    ///< [vocab_size], logit rows
};

}  // namespace pie::exec
