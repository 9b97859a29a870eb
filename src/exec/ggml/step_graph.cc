#include "exec/ggml/step_graph.h"

#include <ggml.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace pie::exec {

using model::TensorRole;

namespace {

/// The bytes of `source` from `offset` on under another type and shape (`ne`, `nb`: ggml's order).
/// ggml's own views keep the type; gathering K and V as 32-bit words is what this is for.
ggml_tensor* reinterpret(ggml_context* ctx, ggml_tensor* source, size_t offset, ggml_type type,
                         const std::array<int64_t, GGML_MAX_DIMS>& ne,
                         const std::array<size_t, GGML_MAX_DIMS>& nb) {
  ggml_tensor* view = ggml_view_1d(ctx, source, 1, offset);
  view->type = type;
  for (size_t i = 0; i < GGML_MAX_DIMS; ++i) {
    view->ne[i] = ne[i];
    view->nb[i] = nb[i];
  }
  return view;
}

/// All parts after each other along the rows, in a tree: each row is copied log(parts) times.
ggml_tensor* join_rows(ggml_context* ctx, std::vector<ggml_tensor*> parts) {
  while (parts.size() > 1) {
    std::vector<ggml_tensor*> joined;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) {
      joined.push_back(ggml_concat(ctx, parts[i], parts[i + 1], 1));
    }
    if (parts.size() % 2 != 0) joined.push_back(parts.back());
    parts = std::move(joined);
  }
  return parts[0];
}

}  // namespace

ggml_tensor* StepGraph::weight(TensorRole role, uint32_t layer) const {
  return weights_.find(role, layer);
}

ggml_tensor* StepGraph::input(ggml_type type, int64_t inner, int64_t outer) {
  ggml_tensor* tensor = ggml_new_tensor_2d(ctx_, type, inner, outer);
  ggml_set_input(tensor);
  return tensor;
}

void StepGraph::make_inputs(const BatchPlan& plan) {
  const auto size = [](const auto& list) { return static_cast<int64_t>(list.size()); };
  tensors_ = {};
  tensors_.ids = input(GGML_TYPE_I32, size(plan.ids));
  tensors_.positions = input(GGML_TYPE_I32, size(plan.positions));
  tensors_.slots = input(GGML_TYPE_I64, size(plan.slots));
  if (!plan.embeddings.empty()) {
    tensors_.embedding_rows = input(GGML_TYPE_I64, size(plan.embedding_rows));
    tensors_.embeddings = input(GGML_TYPE_F32, arch_.embedding_size, size(plan.embeddings));
  }
  if (!plan.output_rows.empty()) {
    tensors_.output_rows = input(GGML_TYPE_I32, size(plan.output_rows));
  }
  if (!plan.pages.empty()) tensors_.pages = input(GGML_TYPE_I32, size(plan.pages));
  if (!plan.mask.empty()) tensors_.mask = input(GGML_TYPE_F16, size(plan.mask));
}

ggml_tensor* StepGraph::norm(ggml_tensor* x, ggml_tensor* scale) {
  return ggml_mul(ctx_, ggml_rms_norm(ctx_, x, arch_.norm_eps), scale);
}

/// An adapter's values as a tensor of the graph.
ggml_tensor* StepGraph::values_of(const Mapping& memory, size_t first, int64_t inner,
                                  int64_t outer) {
  ggml_backend_buffer_ptr& buffer = adapter_memory_[memory.get()];
  if (!buffer) buffer.reset(ggml_backend_cpu_buffer_from_ptr(memory.get(), memory.size()));
  ggml_tensor* tensor = ggml_new_tensor_2d(ctx_, GGML_TYPE_F32, inner, outer);
  PIE_CHECK(ggml_backend_tensor_alloc(buffer.get(), tensor, memory.as<float>() + first) ==
            GGML_STATUS_SUCCESS);
  return tensor;
}

/// Adds factor * B (A x) to some rows of y, the product of a matrix with x.
ggml_tensor* StepGraph::adapt(ggml_tensor* y, ggml_tensor* x, TensorRole role, uint32_t layer,
                              const AdaptedRows& rows) {
  const model::LowRank* matrix = rows.adapter->find(role, layer);
  if (matrix == nullptr) return y;
  const int64_t rank = matrix->rank;
  ggml_tensor* a = values_of(*rows.adapter->a, matrix->first_a, x->ne[0], rank);
  ggml_tensor* b = values_of(*rows.adapter->b, matrix->first_b, y->ne[0], rank);
  b = ggml_cont(ctx_, ggml_transpose(ctx_, b));
  ggml_tensor* inputs =
      ggml_view_2d(ctx_, x, x->ne[0], rows.row_count, x->nb[1], x->nb[1] * rows.first_row);
  ggml_tensor* added = ggml_mul_mat(ctx_, b, ggml_mul_mat(ctx_, a, inputs));
  added = ggml_scale(ctx_, added, matrix->factor);
  return ggml_acc_inplace(ctx_, y, added, y->nb[1], y->nb[2], y->nb[3], y->nb[1] * rows.first_row);
}

ggml_tensor* StepGraph::multiply(ggml_tensor* x, TensorRole matrix, uint32_t layer) {
  ggml_tensor* y = ggml_mul_mat(ctx_, weight(matrix, layer), x);
  for (const AdaptedRows& rows : adapted_) y = adapt(y, x, matrix, layer, rows);
  return y;
}

ggml_tensor* StepGraph::project(ggml_tensor* x, TensorRole matrix, TensorRole bias,
                                uint32_t layer) {
  ggml_tensor* y = multiply(x, matrix, layer);
  ggml_tensor* added = weight(bias, layer);
  return added == nullptr ? y : ggml_add(ctx_, y, added);
}

/// The rows of Q or K as heads [rows, heads, key_size], normed where the model norms them, turned.
ggml_tensor* StepGraph::turn_heads(ggml_tensor* x, TensorRole scale, int64_t head_count,
                                   uint32_t layer) {
  const model::Rope& rope = arch_.rope_of(layer);
  x = ggml_reshape_3d(ctx_, x, arch_.key_size, head_count, x->ne[1]);
  if (arch_.has_qk_norm) x = norm(x, weight(scale, layer));
  if (rope.kind == model::RopeKind::kNone) return x;
  const int mode =
      rope.kind == model::RopeKind::kHalves ? GGML_ROPE_TYPE_NEOX : GGML_ROPE_TYPE_NORMAL;
  const float extension = rope.scaling == model::RopeScaling::kYarn ? 1.0F : 0.0F;
  ggml_tensor* factors = rope.has_frequency_factors ? weight(TensorRole::kRopeFactors) : nullptr;
  return ggml_rope_ext(ctx_, x, tensors_.positions, factors, static_cast<int>(rope.dims), mode,
                       static_cast<int>(rope.original_context), rope.base, 1.0F / rope.factor,
                       extension, rope.attention_factor, rope.beta_fast, rope.beta_slow);
}

ggml_tensor* StepGraph::embed(const BatchPlan& plan) {
  ggml_tensor* x = ggml_get_rows(ctx_, weight(TensorRole::kTokenEmbedding), tensors_.ids);
  if (arch_.embedding_scale != 1.0F) x = ggml_scale(ctx_, x, arch_.embedding_scale);
  if (plan.embeddings.empty()) return x;
  return ggml_set_rows(ctx_, x, tensors_.embeddings, tensors_.embedding_rows);
}

ggml_tensor* StepGraph::history(ggml_tensor* pool, int64_t head_size, const AttentionGroup& group,
                                const AttentionSpan& span) {
  const int64_t heads = arch_.kv_head_count;
  const size_t slot_bytes = pool->nb[1];
  const size_t head_bytes = static_cast<size_t>(head_size) * sizeof(ggml_fp16_t);
  if (group.is_contiguous) {
    const std::array<int64_t, 4> ne = {head_size, span.kv_len, heads, 1};
    const std::array<size_t, 4> nb = {sizeof(ggml_fp16_t), slot_bytes, head_bytes,
                                      slot_bytes * span.kv_len};
    return reinterpret(ctx_, pool, span.first_slot * slot_bytes, GGML_TYPE_F16, ne, nb);
  }
  const uint32_t page_size = pool_.layout().page_size;
  const size_t page_bytes = slot_bytes * page_size;
  const int64_t page_words = static_cast<int64_t>(page_bytes / sizeof(int32_t));
  const int64_t page_rows = int64_t{pool_.layout().zero_page} + 1;
  ggml_tensor* as_pages =
      reinterpret(ctx_, pool, 0, GGML_TYPE_I32, {page_words, page_rows, 1, 1},
                  {sizeof(int32_t), page_bytes, page_bytes * static_cast<size_t>(page_rows),
                   page_bytes * static_cast<size_t>(page_rows)});
  ggml_tensor* table =
      ggml_view_1d(ctx_, tensors_.pages, int64_t{span.page_count} * group.slice_count,
                   span.first_page * sizeof(int32_t));
  ggml_tensor* gathered = ggml_get_rows(ctx_, as_pages, table);
  return reinterpret(ctx_, gathered, 0, GGML_TYPE_F16,
                     {head_size, span.kv_len, heads, group.slice_count},
                     {sizeof(ggml_fp16_t), slot_bytes, head_bytes, page_bytes * span.page_count});
}

ggml_tensor* StepGraph::attend_group(ggml_tensor* queries, uint32_t layer,
                                     const AttentionGroup& group) {
  const AttentionSpan& span = arch_.window_of(layer) != 0 ? group.windowed : group.all;
  const size_t head_bytes = queries->nb[1];
  const size_t row_bytes = queries->nb[2];
  ggml_tensor* q = ggml_view_4d(ctx_, queries, arch_.key_size, group.slice_rows, arch_.head_count,
                                group.slice_count, row_bytes, head_bytes,
                                row_bytes * group.slice_rows, row_bytes * group.first_row);
  ggml_tensor* k = history(pool_.keys(layer), arch_.key_size, group, span);
  ggml_tensor* v = history(pool_.values(layer), arch_.value_size, group, span);
  ggml_tensor* mask = nullptr;
  if (span.has_mask) {
    const size_t mask_row = sizeof(ggml_fp16_t) * span.kv_len;
    mask = ggml_view_4d(ctx_, tensors_.mask, span.kv_len, group.slice_rows, 1, group.slice_count,
                        mask_row, mask_row * group.slice_rows, mask_row * group.slice_rows,
                        span.first_mask * sizeof(ggml_fp16_t));
  }
  ggml_tensor* out = ggml_flash_attn_ext(ctx_, q, k, v, mask, arch_.attention_scale, 0.0F,
                                         arch_.attention_softcap);
  return ggml_reshape_2d(ctx_, out, int64_t{arch_.head_count} * arch_.value_size,
                         int64_t{group.slice_rows} * group.slice_count);
}

/// nullptr when nothing asks for the last layer's result.
ggml_tensor* StepGraph::attention(ggml_tensor* x, uint32_t layer, const BatchPlan& plan) {
  ggml_tensor* q = project(x, TensorRole::kQuery, TensorRole::kQueryBias, layer);
  ggml_tensor* k = project(x, TensorRole::kKey, TensorRole::kKeyBias, layer);
  ggml_tensor* v = project(x, TensorRole::kValue, TensorRole::kValueBias, layer);
  k = turn_heads(k, TensorRole::kKeyNorm, arch_.kv_head_count, layer);
  k = ggml_reshape_2d(ctx_, k, k->ne[0] * k->ne[1], k->ne[2]);
  // The attention nodes below read the pool, not these nodes' results: the graph's order, which
  // ggml keeps, puts the writes first.
  ggml_build_forward_expand(graph_, ggml_set_rows(ctx_, pool_.keys(layer), k, tensors_.slots));
  ggml_build_forward_expand(graph_, ggml_set_rows(ctx_, pool_.values(layer), v, tensors_.slots));
  if (plan.output_rows.empty() && layer + 1 == arch_.layer_count) return nullptr;
  q = turn_heads(q, TensorRole::kQueryNorm, arch_.head_count, layer);
  std::vector<ggml_tensor*> parts;
  parts.reserve(plan.groups.size());
  for (const AttentionGroup& group : plan.groups) parts.push_back(attend_group(q, layer, group));
  return project(join_rows(ctx_, std::move(parts)), TensorRole::kAttentionOutput,
                 TensorRole::kAttentionOutputBias, layer);
}

ggml_tensor* StepGraph::ffn(ggml_tensor* x, uint32_t layer) {
  ggml_tensor* gate = multiply(x, TensorRole::kFfnGate, layer);
  ggml_tensor* up = multiply(x, TensorRole::kFfnUp, layer);
  ggml_tensor* inner = arch_.activation == model::Activation::kSilu
                           ? ggml_swiglu_split(ctx_, gate, up)
                           : ggml_geglu_split(ctx_, gate, up);
  return multiply(inner, TensorRole::kFfnDown, layer);
}

/// The rows after all layers, those that are asked for; nullptr when none is.
ggml_tensor* StepGraph::blocks(ggml_tensor* x, const BatchPlan& plan) {
  for (uint32_t layer = 0; layer < arch_.layer_count; ++layer) {
    ggml_tensor* normed = norm(x, weight(TensorRole::kAttentionNorm, layer));
    ggml_tensor* attended = attention(normed, layer, plan);
    if (attended == nullptr) return nullptr;
    if (layer + 1 == arch_.layer_count) {
      // From here on rows are independent: only those that are asked for go on.
      attended = ggml_get_rows(ctx_, attended, tensors_.output_rows);
      x = ggml_get_rows(ctx_, x, tensors_.output_rows);
      adapted_ = plan.adapted_outputs;
    }
    if (arch_.has_post_norms)
      attended = norm(attended, weight(TensorRole::kAttentionPostNorm, layer));
    x = ggml_add(ctx_, x, attended);
    ggml_tensor* fed = ffn(norm(x, weight(TensorRole::kFfnNorm, layer)), layer);
    if (arch_.has_post_norms) fed = norm(fed, weight(TensorRole::kFfnPostNorm, layer));
    x = ggml_add(ctx_, x, fed);
  }
  return x;
}

/// Adds the logits of the first `count` rows.
void StepGraph::logits(ggml_tensor* x, uint32_t count) {
  ggml_tensor* rows = ggml_view_2d(ctx_, x, x->ne[0], count, x->nb[1], 0);
  tensors_.logits = ggml_mul_mat(ctx_, weight(TensorRole::kOutput), rows);
  if (arch_.logit_softcap > 0.0F) {
    tensors_.logits = ggml_scale(ctx_, tensors_.logits, 1.0F / arch_.logit_softcap);
    tensors_.logits = ggml_scale(ctx_, ggml_tanh(ctx_, tensors_.logits), arch_.logit_softcap);
  }
  ggml_set_output(tensors_.logits);
  ggml_build_forward_expand(graph_, tensors_.logits);
}

ggml_cgraph* StepGraph::build(const BatchPlan& plan) {
  PIE_CHECK(plan.row_count() > 0);
  // Per layer some 35 nodes, and per group 3 of attention with 8 views, and a concatenation. Of
  // each matrix and adapter two of weights, two to turn one around, four of products, one view.
  const size_t adapted_count = std::max(plan.adapted.size(), plan.adapted_outputs.size());
  const size_t node_count =
      64 + arch_.layer_count *
               (50 + 14 * plan.groups.size() + 9 * model::kAdaptedRoles.size() * adapted_count);
  memory_.resize(node_count * ggml_tensor_overhead() +
                 ggml_graph_overhead_custom(node_count, false));
  context_.reset(ggml_init({memory_.size(), memory_.data(), true}));
  ctx_ = context_.get();
  graph_ = ggml_new_graph_custom(ctx_, node_count, false);
  make_inputs(plan);
  adapted_ = plan.adapted;
  adapter_memory_.clear();

  ggml_tensor* x = blocks(embed(plan), plan);
  if (x == nullptr) return graph_;
  x = norm(x, weight(TensorRole::kOutputNorm));
  tensors_.normed = x;
  ggml_set_output(x);
  ggml_build_forward_expand(graph_, x);
  if (plan.logit_count > 0) logits(x, plan.logit_count);
  return graph_;
}

}  // namespace pie::exec
