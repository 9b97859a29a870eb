#include "exec/native/kv_pages.h"

#include <cstring>
#include <new>

#include "base/check.h"
#include "exec/pool_bound.h"

namespace pie::exec {
namespace {

constexpr size_t kVirtualPage = 4096;

/// Bytes from one page to the next. Large ones are an odd number of the machine's pages: one
/// layer's parts of successive pages then spread over all sets of a cache.
size_t stride_of(size_t page_bytes) {
  if (page_bytes < 4 * kVirtualPage) return (page_bytes + 63) / 64 * 64;
  const size_t count = (page_bytes + kVirtualPage - 1) / kVirtualPage;
  return (count | 1) * kVirtualPage;
}

kernels::PageFormat page_format(KvFormat format) {
  switch (format) {
    case KvFormat::kBf16: return kernels::PageFormat::kBf16;
    case KvFormat::kQ8: return kernels::PageFormat::kQ8;
    case KvFormat::kF16: break;
  }
  return kernels::PageFormat::kF16;
}

}  // namespace

Result<KvPages> KvPages::create(const model::Architecture& a, const ExecutorConfig& config) {
  PIE_CHECK(config.page_size == kernels::kPageTokens);
  KvPages pages;
  pages.page_count_ = config.page_count;
  pages.kv_head_count_ = a.kv_head_count;
  pages.shape_ = {a.key_size, a.value_size, a.attention_scale, a.attention_softcap,
                  page_format(config.kv_format)};
  pages.head_bytes_ = pages.shape_.page_bytes();
  pages.page_bytes_ = uint64_t{a.layer_count} * a.kv_head_count * pages.head_bytes_;
  pages.page_stride_ = stride_of(pages.page_bytes_);
  PIE_TRY(check_pool_fits(config, uint64_t{pages.page_stride_} * config.page_count));
  try {
    pages.memory_ =
        Mapping(pages.page_stride_ * (size_t{config.page_count} + config.scratch_pages()));
  } catch (const std::bad_alloc&) {
    return pool_refused(config, uint64_t{pages.page_stride_} * config.page_count);
  }
  return pages;
}

void KvPages::clear(std::span<const KvPageId> pages) {
  for (const KvPageId page : pages) {
    PIE_CHECK(page.value < page_count_);
    std::memset(bytes_of(page), 0, page_bytes_);
  }
}

void KvPages::copy(std::span<const KvPageId> from, std::span<const KvPageId> to) {
  PIE_CHECK(from.size() == to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    PIE_CHECK(from[i].value < page_count_ && to[i].value < page_count_);
    std::memmove(bytes_of(to[i]), bytes_of(from[i]), page_bytes_);
  }
}

void KvPages::read(KvPageId page, std::span<std::byte> bytes) const {
  PIE_CHECK(page.value < page_count_ && bytes.size() == page_bytes_);
  std::memcpy(bytes.data(), bytes_of(page), page_bytes_);
}

void KvPages::write(KvPageId page, std::span<const std::byte> bytes) {
  PIE_CHECK(page.value < page_count_ && bytes.size() == page_bytes_);
  std::memcpy(bytes_of(page), bytes.data(), page_bytes_);
}

}  // namespace pie::exec
