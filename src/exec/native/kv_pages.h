#pragma once
#include <cstdint>
#include <span>

#include "base/mapping.h"
#include "exec/executor.h"
#include "kernels/attention.h"
#include "model/architecture.h"

namespace pie::exec {

/// K and V of all layers in the form that our attention reads: page by page, in a page layer by
/// layer, in a layer one K/V head after the other (AttentionShape says how such a part looks).
/// After the pages of the configuration come its scratch pages, for slices without a cache. Memory
/// is committed as it is written.
class KvPages {
 public:
  /// kResourceExhausted when it exceeds the memory that this process may have.
  static Result<KvPages> create(const model::Architecture& architecture,
                                const ExecutorConfig& config);

  std::byte* head(KvPageId page, uint32_t layer, uint32_t kv_head) const {
    return bytes_of(page) + (size_t{layer} * kv_head_count_ + kv_head) * head_bytes_;
  }
  /// What a layer's attention looks like to the kernels.
  const kernels::AttentionShape& shape() const { return shape_; }
  /// First of the scratch pages.
  uint32_t first_scratch_page() const { return page_count_; }
  uint64_t page_bytes() const { return page_bytes_; }

  void clear(std::span<const KvPageId> pages);
  void copy(std::span<const KvPageId> from, std::span<const KvPageId> to);
  /// page_bytes() each; from any thread.
  void read(KvPageId page, std::span<std::byte> bytes) const;
  void write(KvPageId page, std::span<const std::byte> bytes);

 private:
  KvPages() = default;
  std::byte* bytes_of(KvPageId page) const { return memory_.get() + page.value * page_stride_; }

  Mapping memory_;
  kernels::AttentionShape shape_;
  uint32_t page_count_ = 0;
  uint32_t kv_head_count_ = 0;
  size_t head_bytes_ = 0;   ///< of a page of one head of one layer
  size_t page_stride_ = 0;  ///< bytes
  uint64_t page_bytes_ = 0;
};

}  // namespace pie::exec
