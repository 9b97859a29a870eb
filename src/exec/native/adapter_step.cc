#include "exec/native/adapter_step.h"

#include <algorithm>

#include "kernels/low_rank.h"
#include "kernels/small_ops.h"

namespace pie::exec {

using model::TensorRole;

namespace {

std::span<const TensorRole> roles_of(AdaptedInput input) {
  using enum TensorRole;
  static constexpr std::array kQkv = {kQuery, kKey, kValue};
  static constexpr std::array kAttended = {kAttentionOutput};
  static constexpr std::array kGateUp = {kFfnGate, kFfnUp};
  static constexpr std::array kDown = {kFfnDown};
  switch (input) {
    case AdaptedInput::kQueryKeyValue: return kQkv;
    case AdaptedInput::kAttentionOutput: return kAttended;
    case AdaptedInput::kGateUp: return kGateUp;
    case AdaptedInput::kDown: break;
  }
  return kDown;
}

uint32_t inputs_max(const model::Architecture& a) {
  return std::max({a.embedding_size, a.head_count * a.value_size, a.ffn_size});
}

uint32_t outputs_max(const model::Architecture& a) {
  const uint32_t qkv = a.head_count * a.key_size + a.kv_head_count * (a.key_size + a.value_size);
  return std::max({qkv, 2 * a.ffn_size, a.embedding_size});
}

}  // namespace

AdapterStep::AdapterStep(const model::Architecture& architecture, kernels::Isa isa,
                         uint32_t rows_max, uint32_t thread_count)
    : arch_(architecture),
      isa_(isa),
      inputs_max_(inputs_max(architecture)),
      outputs_max_(outputs_max(architecture)),
      // A row may be asked for its logits and its hidden state: it then counts twice.
      added_(size_t{2} * rows_max * outputs_max_ * sizeof(float)),
      scratch_(size_t{thread_count} * (inputs_max_ + model::kAdapterRankMax) * sizeof(float)) {}

void AdapterStep::begin(const StepPlan& plan) {
  const auto list = [&](Rows which, size_t count, auto plan_row) {
    List& rows = lists_[static_cast<size_t>(which)];
    rows.rows.clear();
    for (uint32_t i = 0; i < count; ++i) {
      const model::Adapter* adapter = plan_row(i).adapter;
      if (adapter != nullptr) rows.rows.push_back({i, adapter});
    }
    if (!rows.rows.empty()) rows.added.assign(count, nullptr);
  };
  list(Rows::kAll, plan.row_count(), [&](uint32_t i) { return plan.rows()[i]; });
  list(Rows::kOutputs, plan.output_rows().size(),
       [&](uint32_t i) { return plan.rows()[plan.output_rows()[i]]; });
}

void AdapterStep::add_part(uint32_t layer, TensorRole role, const model::Adapter& adapter,
                           const float* x, uint32_t thread, float* out) const {
  const model::MatrixSize size = model::adapted_size(arch_, role);
  const model::LowRank* matrix = adapter.find(role, layer);
  if (matrix == nullptr) {
    std::fill_n(out, size.outputs, 0.0F);
    return;
  }
  float* u =
      scratch_.as<float>() + size_t{thread} * (inputs_max_ + model::kAdapterRankMax) + inputs_max_;
  kernels::low_rank_in(isa_, adapter.a_of(*matrix), matrix->factor, matrix->rank, size.inputs, x,
                       u);
  kernels::low_rank_out(isa_, adapter.b_of(*matrix), matrix->rank, size.outputs, u, out);
}

const float* const* AdapterStep::add(Team& team, uint32_t layer, AdaptedInput input, Rows which,
                                     const Source& source) {
  List& list = lists_[static_cast<size_t>(which)];
  if (list.rows.empty()) return nullptr;
  const std::span<const TensorRole> roles = roles_of(input);
  const auto part_count = static_cast<uint32_t>(roles.size());
  const uint32_t width = model::adapted_size(arch_, roles[0]).inputs;
  const uint32_t thread = team.index();
  float* normed = scratch_.as<float>() + size_t{thread} * (inputs_max_ + model::kAdapterRankMax);
  const auto [begin, end] = team.share(static_cast<uint32_t>(list.rows.size()) * part_count);
  for (uint32_t i = begin; i < end; ++i) {
    const uint32_t part = i % part_count;
    const Adapted& adapted = list.rows[i / part_count];
    const bool changes = std::any_of(roles.begin(), roles.end(), [&](TensorRole role) {
      return adapted.adapter->find(role, layer) != nullptr;
    });
    float* out = added_.as<float>() + size_t{i / part_count} * outputs_max_;
    if (part == 0) list.added[adapted.row] = changes ? out : nullptr;
    if (!changes) continue;
    const float* x = source.x + adapted.row * source.stride;
    if (source.norm != nullptr) {
      if (part == 0 || i == begin)
        kernels::rms_norm(isa_, x, source.norm, arch_.norm_eps, width, normed);
      x = normed;
    }
    for (uint32_t before = 0; before < part; ++before)
      out += model::adapted_size(arch_, roles[before]).outputs;
    add_part(layer, roles[part], *adapted.adapter, x, thread, out);
  }
  team.meet();
  return list.added.data();
}

}  // namespace pie::exec
