#include "exec/executor_needs.h"

#include <algorithm>

#include "model/architecture.h"
#include "model/weights.h"

namespace pie::exec {

uint64_t ExecutorNeeds::step_bytes(uint32_t tokens) const {
  const ExecutorConfig step{.step_tokens_max = tokens};
  return tokens * step_token + step.scratch_pages() * page;
}

uint32_t ExecutorNeeds::pages_within(uint64_t bytes) const {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes / std::max<uint64_t>(1, page), UINT32_MAX));
}

ExecutorNeeds needs_of_memory(const model::Model& model, KvFormat format) {
  const model::Architecture& a = model.architecture();
  const uint64_t token = uint64_t{a.layer_count} * a.kv_head_count *
                         kv_head_token_bytes(format, a.key_size, a.value_size);
  const uint64_t queries = uint64_t{a.head_count} * a.key_size;
  const uint64_t results = uint64_t{a.head_count} * a.value_size;
  const uint64_t floats =
      a.vocab_size + 5ULL * a.embedding_size + 2 * queries + 5 * results + 4ULL * a.ffn_size +
      2 * std::max<uint64_t>(2ULL * a.ffn_size, queries + 2 * results);  // what adapters add
  const uint64_t widest = std::max<uint64_t>({a.embedding_size, results, a.ffn_size});
  constexpr uint64_t kActivationBytes = 18;  // a value as int8 and as f32, of twice the rows
  return {.weights = model.weights().size_bytes() * 17 / 16,
          .page = token * ExecutorConfig{}.page_size,
          .step_token = floats * sizeof(float) + widest * kActivationBytes};
}

}  // namespace pie::exec
