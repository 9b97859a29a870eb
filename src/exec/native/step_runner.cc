#include "exec/native/step_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/small_ops.h"

namespace pie::exec {

using kernels::Epilogue;

namespace {

/// Parts a thread takes of a product, one after the other in memory; a thread that is ready before
/// takes some of another's: a client or a program may have had its core. Taken in turns within one
/// run on two cores beside a small load, a step of one row took 8.08 ms with 16 parts, 8.16 with 4
/// and 8.26 with halves.
constexpr uint32_t kPartsPerThread = 16;

Mapping floats(size_t rows, size_t width) { return Mapping(rows * width * sizeof(float)); }

/// Widest input of a product.
uint32_t width_max(const model::Architecture& a) {
  return std::max({a.embedding_size, a.head_count * a.value_size, a.ffn_size});
}

}  // namespace

StepRunner::StepRunner(const model::Architecture& a, const NativeWeights& weights,
                       const KvPages& pages, kernels::Isa isa, uint32_t rows_max,
                       uint32_t thread_count)
    : arch_(a),
      weights_(weights),
      pages_(pages),
      isa_(isa),
      shape_(pages.shape()),
      attention_kernels_(kernels::attention_kernels(isa, shape_.format)),
      query_width_(a.head_count * a.key_size),
      key_width_(a.kv_head_count * a.key_size),
      value_width_(a.kv_head_count * a.value_size),
      result_width_(a.head_count * a.value_size),
      attention_(a, pages, isa, rows_max, thread_count),
      activations_(isa, 2 * rows_max, width_max(a), thread_count),
      adapters_(a, isa, rows_max, thread_count),
      x_(floats(rows_max, a.embedding_size)),
      qkv_(floats(rows_max, qkv_width())),
      attended_(floats(rows_max, result_width_)),
      // A row may be asked for its logits and its hidden state: it then counts twice.
      outputs_(floats(size_t{2} * rows_max, a.embedding_size)),
      gathered_(floats(size_t{2} * rows_max, result_width_)),
      inner_(floats(size_t{2} * rows_max, size_t{2} * a.ffn_size)),
      branch_(floats(size_t{2} * rows_max, a.embedding_size)),
      normed_(floats(rows_max, a.embedding_size)),
      logits_(floats(rows_max, a.vocab_size)) {
  const auto add = [&](const model::Rope& rope) {
    const float* factors = rope.has_frequency_factors ? weights_.rope_factors : nullptr;
    turns_.push_back({model::rope_table(rope, {factors, factors == nullptr ? 0 : rope.dims / 2}),
                      floats(rows_max, rope.dims / 2), floats(rows_max, rope.dims / 2)});
  };
  add(a.rope);
  if (!a.is_windowed.empty()) add(a.window_rope);
}

void StepRunner::run(Team& team, const StepPlan& plan) {
  embed(team, plan);
  team.meet();
  Rows rows{x_.as<float>(), plan.row_count(), AdapterStep::Rows::kAll};
  const float* attended = attended_.as<float>();
  for (uint32_t layer = 0; layer < arch_.layer_count; ++layer) {
    attention_inputs(team, plan, layer);
    team.meet();
    const bool is_last = layer + 1 == arch_.layer_count;
    if (is_last && plan.output_rows().empty()) return;
    attention_.run(team, plan, is_last ? plan.last_attention() : plan.attention(), layer,
                   arch_.window_of(layer), {qkv_.as<float>(), qkv_width(), attended_.as<float>()});
    team.meet();
    if (is_last) {
      gather_outputs(team, plan);
      rows = {outputs_.as<float>(), static_cast<uint32_t>(plan.output_rows().size()),
              AdapterStep::Rows::kOutputs};
      attended = gathered_.as<float>();
      team.meet();
    }
    finish_attention(team, layer, attended, rows);
    ffn(team, layer, rows);
  }
  finish(team, plan);
}

/// Rows of the embedding table (or the program's embeddings), and the turns of their positions.
void StepRunner::embed(Team& team, const StepPlan& plan) {
  const auto [begin, end] = team.share(plan.row_count());
  for (uint32_t r = begin; r < end; ++r) {
    const StepToken& token = *plan.rows()[r].token;
    float* x = x_.as<float>() + size_t{r} * arch_.embedding_size;
    if (token.embedding != nullptr) {
      std::copy_n(token.embedding, arch_.embedding_size, x);
      continue;
    }
    weights_.embedding.dequantize_row(token.id, x);
    if (arch_.embedding_scale != 1.0F) {
      kernels::scale(isa_, x, arch_.embedding_scale, arch_.embedding_size, x);
    }
  }
  turn_positions(plan, begin, end);
}

void StepRunner::turn_positions(const StepPlan& plan, uint32_t begin, uint32_t end) {
  for (Turns& turns : turns_) {
    const size_t pairs = turns.table.frequencies.size();
    for (uint32_t r = begin; r < end; ++r) {
      const double position = plan.rows()[r].token->position;
      float* cosines = turns.cosines.as<float>() + r * pairs;
      float* sines = turns.sines.as<float>() + r * pairs;
      for (size_t i = 0; i < pairs; ++i) {
        const double angle = position * turns.table.frequencies[i];
        cosines[i] = static_cast<float>(std::cos(angle) * turns.table.magnitude);
        sines[i] = static_cast<float>(std::sin(angle) * turns.table.magnitude);
      }
    }
  }
}

void StepRunner::multiply(Team& team, const NativeProjection& projection,
                          const ActivationSet& activations, Epilogue::Op op,
                          const float* const* added, float* y, size_t stride) {
  uint32_t panels = 0;
  for (const NativeMatrix& matrix : projection.matrices) panels += matrix.weights.panel_count();
  // Panels of all matrices count as one line.
  const auto compute = [&](uint32_t begin, uint32_t end) {
    uint32_t first = 0;
    for (const NativeMatrix& matrix : projection.matrices) {
      const uint32_t count = matrix.weights.panel_count();
      const uint32_t from = std::clamp(begin, first, first + count) - first;
      const uint32_t to = std::clamp(end, first, first + count) - first;
      if (from < to) {
        const float* bias =
            projection.bias.empty() ? nullptr : projection.bias.data() + matrix.first_row;
        kernels::matmul(isa_, matrix.weights, activations.of(matrix), from, to,
                        {op, y + matrix.first_row, stride, bias, added, matrix.first_row});
      }
      first += count;
    }
  };
  if (team.count() == 1) return compute(0, panels);
  const uint32_t step = std::max(1U, panels / (team.count() * kPartsPerThread));
  for (;;) {
    const auto [begin, end] = team.take_near(panels, step);
    if (begin == end) return;
    compute(begin, end);
  }
}

/// Q, K and V of all rows; K and V go to the pages.
void StepRunner::attention_inputs(Team& team, const StepPlan& plan, uint32_t layer) {
  const NativeLayer& weights = weights_.layers[layer];
  const uint32_t width = arch_.embedding_size;
  const float* const* added =
      adapters_.add(team, layer, AdaptedInput::kQueryKeyValue, AdapterStep::Rows::kAll,
                    {x_.as<float>(), width, weights.attention_norm});
  const ActivationSet packed = activations_.pack(
      team, weights.query_key_value,
      {x_.as<float>(), width, plan.row_count(), width, weights.attention_norm, arch_.norm_eps});
  multiply(team, weights.query_key_value, packed, Epilogue::Op::kStore, added, qkv_.as<float>(),
           qkv_width());
  team.meet();
  const auto [begin, end] = team.share(plan.row_count() * arch_.kv_head_count);
  for (uint32_t i = begin; i < end; ++i)
    prepare_heads(plan, layer, i / arch_.kv_head_count, i % arch_.kv_head_count);
}

/// Norms and turns a row's K/V head and the query heads of it, and appends K and V.
void StepRunner::prepare_heads(const StepPlan& plan, uint32_t layer, uint32_t row,
                               uint32_t kv_head) {
  const NativeLayer& weights = weights_.layers[layer];
  const model::Rope& rope = arch_.rope_of(layer);
  const Turns& turns = turns_[arch_.window_of(layer) != 0 ? 1 : 0];
  const size_t first_turn = row * turns.table.frequencies.size();
  const auto prepare = [&](float* heads, uint32_t count, const float* norm) {
    for (uint32_t h = 0; norm != nullptr && h < count; ++h) {
      float* head = heads + size_t{h} * arch_.key_size;
      kernels::rms_norm(isa_, head, norm, arch_.norm_eps, arch_.key_size, head);
    }
    if (rope.kind == model::RopeKind::kNone) return;
    const auto pairing = rope.kind == model::RopeKind::kHalves ? kernels::RopePairing::kHalves
                                                               : kernels::RopePairing::kAdjacent;
    kernels::rope(isa_, {pairing, count, arch_.key_size, rope.dims},
                  turns.cosines.as<float>() + first_turn, turns.sines.as<float>() + first_turn,
                  heads);
  };
  const uint32_t group = arch_.head_count / arch_.kv_head_count;
  float* heads = qkv_.as<float>() + size_t{row} * qkv_width();
  float* key = heads + query_width_ + size_t{kv_head} * arch_.key_size;
  const float* value = heads + query_width_ + key_width_ + size_t{kv_head} * arch_.value_size;
  prepare(heads + size_t{kv_head} * group * arch_.key_size, group, weights.query_norm);
  prepare(key, 1, weights.key_norm);
  const PlanRow& target = plan.rows()[row];
  attention_kernels_.append(shape_, pages_.head(target.page, layer, kv_head), target.page_slot, key,
                            value);
}

/// From the last attention on rows are independent: only those that are asked for go on.
void StepRunner::gather_outputs(Team& team, const StepPlan& plan) {
  const auto [begin, end] = team.share(static_cast<uint32_t>(plan.output_rows().size()));
  for (uint32_t i = begin; i < end; ++i) {
    const size_t row = plan.output_rows()[i];
    std::copy_n(attended_.as<float>() + row * result_width_, result_width_,
                gathered_.as<float>() + size_t{i} * result_width_);
    std::copy_n(x_.as<float>() + row * arch_.embedding_size, arch_.embedding_size,
                outputs_.as<float>() + size_t{i} * arch_.embedding_size);
  }
}

void StepRunner::add_normed(Team& team, const float* norm, Rows rows) {
  team.meet();
  const auto [begin, end] = team.share(rows.count);
  const uint32_t width = arch_.embedding_size;
  for (uint32_t r = begin; r < end; ++r) {
    float* branch = branch_.as<float>() + size_t{r} * width;
    kernels::rms_norm(isa_, branch, norm, arch_.norm_eps, width, branch);
    kernels::add(isa_, branch, width, rows.residual + size_t{r} * width);
  }
}

/// Adds a branch's last projection to the residual stream, through the post norm where there is
/// one.
void StepRunner::add_branch(Team& team, const NativeProjection& projection,
                            const ActivationSet& packed, const float* const* added,
                            const float* post_norm, Rows rows) {
  const uint32_t width = arch_.embedding_size;
  if (post_norm == nullptr) {
    multiply(team, projection, packed, Epilogue::Op::kAdd, added, rows.residual, width);
  } else {
    multiply(team, projection, packed, Epilogue::Op::kStore, added, branch_.as<float>(), width);
    add_normed(team, post_norm, rows);
  }
  team.meet();
}

void StepRunner::finish_attention(Team& team, uint32_t layer, const float* attended, Rows rows) {
  const NativeLayer& weights = weights_.layers[layer];
  const float* const* added = adapters_.add(team, layer, AdaptedInput::kAttentionOutput, rows.which,
                                            {attended, result_width_, nullptr});
  const ActivationSet packed =
      activations_.pack(team, weights.attention_output,
                        {attended, result_width_, rows.count, result_width_, nullptr, 0.0F});
  add_branch(team, weights.attention_output, packed, added, weights.attention_post_norm, rows);
}

void StepRunner::ffn(Team& team, uint32_t layer, Rows rows) {
  const NativeLayer& weights = weights_.layers[layer];
  const uint32_t width = arch_.embedding_size;
  const float* const* added = adapters_.add(team, layer, AdaptedInput::kGateUp, rows.which,
                                            {rows.residual, width, weights.ffn_norm});
  const ActivationSet packed = activations_.pack(
      team, weights.gate_up,
      {rows.residual, width, rows.count, width, weights.ffn_norm, arch_.norm_eps});
  const bool is_silu = arch_.activation == model::Activation::kSilu;
  const uint32_t inner_width = weights.gate_up.row_count;
  auto* inner = inner_.as<float>();
  const bool is_gated = weights.gate_up.matrices[0].weights.gated();
  const Epilogue::Op op = !is_gated ? Epilogue::Op::kStore
                          : is_silu ? Epilogue::Op::kSiluMul
                                    : Epilogue::Op::kGeluMul;
  multiply(team, weights.gate_up, packed, op, added, inner, inner_width);
  team.meet();
  if (!is_gated) {
    const auto [begin, end] = team.share(rows.count);
    for (uint32_t r = begin; r < end; ++r) {
      float* gate = inner + size_t{r} * inner_width;
      (is_silu ? kernels::silu_mul : kernels::gelu_mul)(isa_, gate, gate + arch_.ffn_size,
                                                        arch_.ffn_size, gate);
    }
    team.meet();
  }
  added =
      adapters_.add(team, layer, AdaptedInput::kDown, rows.which, {inner, inner_width, nullptr});
  const ActivationSet down = activations_.pack(
      team, weights.down, {inner, inner_width, rows.count, arch_.ffn_size, nullptr, 0.0F});
  add_branch(team, weights.down, down, added, weights.ffn_post_norm, rows);
}

/// The final norm of hidden rows, and the logits.
void StepRunner::finish(Team& team, const StepPlan& plan) {
  const uint32_t width = arch_.embedding_size;
  const uint32_t logit_count = plan.logit_count();
  const auto hidden_count = static_cast<uint32_t>(plan.output_rows().size()) - logit_count;
  const auto [begin, end] = team.share(hidden_count);
  for (uint32_t i = begin; i < end; ++i) {
    kernels::rms_norm(isa_, outputs_.as<float>() + size_t{logit_count + i} * width,
                      weights_.output_norm, arch_.norm_eps, width,
                      normed_.as<float>() + size_t{i} * width);
  }
  if (logit_count == 0) return;
  const ActivationSet packed = activations_.pack(
      team, weights_.output,
      {outputs_.as<float>(), width, logit_count, width, weights_.output_norm, arch_.norm_eps});
  auto* logits = logits_.as<float>();
  multiply(team, weights_.output, packed, Epilogue::Op::kStore, nullptr, logits, arch_.vocab_size);
  if (arch_.logit_softcap > 0.0F) {
    team.meet();
    const auto [first, last] = team.share(logit_count);
    for (uint32_t r = first; r < last; ++r) {
      float* row = logits + size_t{r} * arch_.vocab_size;
      kernels::soft_cap(isa_, row, arch_.logit_softcap, arch_.vocab_size, row);
    }
  }
}

StepOutput StepRunner::output(const StepPlan& plan) const {
  const size_t hidden_count = plan.output_rows().size() - plan.logit_count();
  return {{logits_.as<float>(), size_t{plan.logit_count()} * arch_.vocab_size},
          {normed_.as<float>(), hidden_count * arch_.embedding_size}};
}

}  // namespace pie::exec
