#pragma once
#include <ggml-cpp.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "exec/ggml/batch_plan.h"
#include "exec/ggml/ggml_weights.h"
#include "exec/ggml/kv_pool.h"
#include "model/adapter.h"
#include "model/architecture.h"

namespace pie::exec {

/// The tensors through which a step's data enters and leaves its graph. nullptr = not needed.
/// Shapes are outermost first.
struct StepTensors {
  ggml_tensor* ids = nullptr;             ///< i32 [rows]
  ggml_tensor* positions = nullptr;       ///< i32 [rows]
  ggml_tensor* slots = nullptr;           ///< i64 [rows]
  ggml_tensor* embedding_rows = nullptr;  ///< i64 [embeddings]
  ggml_tensor* embeddings = nullptr;      ///< f32 [embeddings, n_embd]
  ggml_tensor* output_rows = nullptr;     ///< i32 [outputs]
  ggml_tensor* pages = nullptr;           ///< i32 [BatchPlan::pages]
  ggml_tensor* mask = nullptr;            ///< f16 [BatchPlan::mask]
  ggml_tensor* normed = nullptr;          ///< f32 [outputs, n_embd], after the final norm
  ggml_tensor* logits = nullptr;          ///< f32 [logit_count, n_vocab]
};

/// Builds the ggml graph of one step from the model's description. The graph lives in memory that
/// is used again by the next build(). Thread: engine only.
class StepGraph {
 public:
  StepGraph(const model::Architecture& architecture, const GgmlWeights& weights, const KvPool& pool)
      : arch_(architecture), weights_(weights), pool_(pool) {}

  /// The graph and the tensors of `plan`, which needs at least one row. Without outputs the graph
  /// ends where the last layer's K and V are written.
  ggml_cgraph* build(const BatchPlan& plan);
  const StepTensors& tensors() const { return tensors_; }

 private:
  ggml_tensor* weight(model::TensorRole role, uint32_t layer = 0) const;
  ggml_tensor* input(ggml_type type, int64_t inner, int64_t outer = 1);
  ggml_tensor* norm(ggml_tensor* x, ggml_tensor* scale);
  ggml_tensor* multiply(ggml_tensor* x, model::TensorRole matrix, uint32_t layer);
  ggml_tensor* project(ggml_tensor* x, model::TensorRole matrix, model::TensorRole bias,
                       uint32_t layer);
  ggml_tensor* adapt(ggml_tensor* y, ggml_tensor* x, model::TensorRole role, uint32_t layer,
                     const AdaptedRows& rows);
  ggml_tensor* values_of(const Mapping& memory, size_t first, int64_t inner, int64_t outer);
  ggml_tensor* turn_heads(ggml_tensor* x, model::TensorRole scale, int64_t head_count,
                          uint32_t layer);
  void make_inputs(const BatchPlan& plan);
  ggml_tensor* embed(const BatchPlan& plan);
  ggml_tensor* attention(ggml_tensor* x, uint32_t layer, const BatchPlan& plan);
  ggml_tensor* attend_group(ggml_tensor* queries, uint32_t layer, const AttentionGroup& group);
  ggml_tensor* history(ggml_tensor* pool, int64_t head_size, const AttentionGroup& group,
                       const AttentionSpan& span);
  ggml_tensor* ffn(ggml_tensor* x, uint32_t layer);
  ggml_tensor* blocks(ggml_tensor* x, const BatchPlan& plan);
  void logits(ggml_tensor* x, uint32_t count);

  const model::Architecture& arch_;
  const GgmlWeights& weights_;
  const KvPool& pool_;
  std::vector<uint8_t> memory_;
  ggml_context_ptr context_;
  ggml_context* ctx_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  StepTensors tensors_;
  std::span<const AdaptedRows> adapted_;  ///< of the rows in hand
  std::map<const std::byte*, ggml_backend_buffer_ptr> adapter_memory_;
};

}  // namespace pie::exec
