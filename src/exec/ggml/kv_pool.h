#pragma once
#include <ggml-cpp.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "exec/executor.h"
#include "exec/ggml/batch_plan.h"
#include "model/architecture.h"

namespace pie::exec {

/// Gives memory of mmap(2) back.
struct MappingDeleter {
  size_t size = 0;
  void operator()(void* address) const;
};

/// K and V of all layers: one F16 tensor each, a row per slot. After the pages of the
/// configuration come one page that stays zero and step_tokens_max scratch slots.
/// Memory is committed as it is written. Thread: engine only.
class KvPool {
 public:
  /// kResourceExhausted when it exceeds the machine's memory.
  static Result<KvPool> create(const model::Architecture& architecture,
                               const ExecutorConfig& config);

  /// F16 [slots, kv_head_count * head size], outermost first.
  ggml_tensor* keys(uint32_t layer) const { return layers_[layer].keys; }
  ggml_tensor* values(uint32_t layer) const { return layers_[layer].values; }
  const PoolLayout& layout() const { return layout_; }
  uint64_t page_bytes() const;

  void clear(std::span<const KvPageId> pages);
  void copy(std::span<const KvPageId> from, std::span<const KvPageId> to);
  /// The page's rows, layer by layer, keys before values. page_bytes() each; from any thread.
  void read(KvPageId page, std::span<std::byte> bytes) const;
  void write(KvPageId page, std::span<const std::byte> bytes);

 private:
  struct Layer {
    ggml_tensor* keys = nullptr;
    ggml_tensor* values = nullptr;
  };
  KvPool() = default;

  PoolLayout layout_;
  std::unique_ptr<void, MappingDeleter> memory_;
  ggml_context_ptr context_;
  ggml_backend_buffer_ptr buffer_;
  std::vector<Layer> layers_;
};

}  // namespace pie::exec
