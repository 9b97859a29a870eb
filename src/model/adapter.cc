#include "model/adapter.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.h"
#include "model/architecture.h"

namespace pie::model {
MatrixSize adapted_size(const Architecture& a, TensorRole role) {
  switch (role) {
    case TensorRole::kQuery: return {a.embedding_size, a.head_count * a.key_size};
    case TensorRole::kKey: return {a.embedding_size, a.kv_head_count * a.key_size};
    case TensorRole::kValue: return {a.embedding_size, a.kv_head_count * a.value_size};
    case TensorRole::kAttentionOutput: return {a.head_count * a.value_size, a.embedding_size};
    case TensorRole::kFfnGate:
    case TensorRole::kFfnUp: return {a.embedding_size, a.ffn_size};
    case TensorRole::kFfnDown: return {a.ffn_size, a.embedding_size};
    default: break;
  }
  PIE_CHECK(role == TensorRole::kQuery);  // not one of kAdaptedRoles
  return {};
}

const LowRank* Adapter::find(TensorRole role, uint32_t layer) const {
  const auto at = std::find(kAdaptedRoles.begin(), kAdaptedRoles.end(), role);
  PIE_CHECK(at != kAdaptedRoles.end());
  const size_t index =
      layer * kAdaptedRoles.size() + static_cast<size_t>(at - kAdaptedRoles.begin());
  if (index >= matrices.size() || matrices[index].rank == 0) return nullptr;
  return &matrices[index];
}

AdapterRef seal(Adapter adapter) {
  static std::atomic<uint64_t> last{0};
  adapter.id = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return std::make_shared<const Adapter>(std::move(adapter));
}

void AdapterLayout::add(MatrixSize size, uint32_t rank, float factor) {
  matrices.push_back({rank, factor, a_count, b_count});
  a_count += size_t{rank} * size.inputs;
  b_count += size_t{rank} * size.outputs;
}

}  // namespace pie::model
