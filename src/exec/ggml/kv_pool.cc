#include "exec/ggml/kv_pool.h"

#include <ggml-backend.h>
#include <ggml.h>
#include <sys/mman.h>

#include <cstring>

#include "exec/pool_bound.h"

namespace pie::exec {
namespace {

std::byte* page_of(const ggml_tensor* tensor, KvPageId page, uint32_t page_size) {
  return static_cast<std::byte*>(tensor->data) + uint64_t{page.value} * page_size * tensor->nb[1];
}

}  // namespace

void MappingDeleter::operator()(void* address) const { munmap(address, size); }

Result<KvPool> KvPool::create(const model::Architecture& a, const ExecutorConfig& config) {
  const int64_t slots =
      (int64_t{config.page_count} + 1) * config.page_size + config.step_tokens_max;
  const int64_t key_row = int64_t{a.kv_head_count} * a.key_size;
  const int64_t value_row = int64_t{a.kv_head_count} * a.value_size;
  // Tensors are laid out one after the other, each at a multiple of 64 bytes.
  const auto padded = [&](int64_t row) {
    return (static_cast<uint64_t>(slots * row) * 2 + 63) / 64 * 64;
  };
  const uint64_t layer_bytes = padded(key_row) + padded(value_row);
  if (layer_bytes > UINT64_MAX / a.layer_count) return pool_refused(config, UINT64_MAX);
  const size_t size = layer_bytes * a.layer_count;
  PIE_TRY(check_pool_fits(config, size));
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return pool_refused(config, size);
  KvPool pool;
  pool.memory_ = {address, MappingDeleter{size}};
  pool.layout_ = {config.page_size, config.page_count,
                  (uint64_t{config.page_count} + 1) * config.page_size};
  pool.context_.reset(
      ggml_init({2 * size_t{a.layer_count} * ggml_tensor_overhead(), nullptr, true}));
  pool.buffer_.reset(ggml_backend_cpu_buffer_from_ptr(address, size));
  auto* next = static_cast<std::byte*>(address);
  for (uint32_t layer = 0; layer < a.layer_count; ++layer) {
    const auto place = [&](int64_t row) {
      ggml_tensor* tensor = ggml_new_tensor_2d(pool.context_.get(), GGML_TYPE_F16, row, slots);
      PIE_CHECK(ggml_backend_tensor_alloc(pool.buffer_.get(), tensor, next) == GGML_STATUS_SUCCESS);
      next += padded(row);
      return tensor;
    };
    ggml_tensor* keys = place(key_row);
    pool.layers_.push_back({keys, place(value_row)});
  }
  return pool;
}

uint64_t KvPool::page_bytes() const {
  return (layers_[0].keys->nb[1] + layers_[0].values->nb[1]) * layout_.page_size * layers_.size();
}

void KvPool::clear(std::span<const KvPageId> pages) {
  for (const Layer& layer : layers_) {
    for (const ggml_tensor* tensor : {layer.keys, layer.values}) {
      for (const KvPageId page : pages) {
        PIE_CHECK(page.value < layout_.zero_page);
        std::memset(page_of(tensor, page, layout_.page_size), 0, layout_.page_size * tensor->nb[1]);
      }
    }
  }
}

void KvPool::copy(std::span<const KvPageId> from, std::span<const KvPageId> to) {
  PIE_CHECK(from.size() == to.size());
  for (const Layer& layer : layers_) {
    for (const ggml_tensor* tensor : {layer.keys, layer.values}) {
      for (size_t i = 0; i < from.size(); ++i) {
        PIE_CHECK(from[i].value < layout_.zero_page);
        PIE_CHECK(to[i].value < layout_.zero_page);
        std::memmove(page_of(tensor, to[i], layout_.page_size),
                     page_of(tensor, from[i], layout_.page_size),
                     layout_.page_size * tensor->nb[1]);
      }
    }
  }
}

void KvPool::read(KvPageId page, std::span<std::byte> bytes) const {
  PIE_CHECK(page.value < layout_.zero_page);
  PIE_CHECK(bytes.size() == page_bytes());
  for (const Layer& layer : layers_) {
    for (const ggml_tensor* tensor : {layer.keys, layer.values}) {
      const size_t size = layout_.page_size * tensor->nb[1];
      std::memcpy(bytes.data(), page_of(tensor, page, layout_.page_size), size);
      bytes = bytes.subspan(size);
    }
  }
}

void KvPool::write(KvPageId page, std::span<const std::byte> bytes) {
  PIE_CHECK(page.value < layout_.zero_page);
  PIE_CHECK(bytes.size() == page_bytes());
  for (const Layer& layer : layers_) {
    for (const ggml_tensor* tensor : {layer.keys, layer.values}) {
      const size_t size = layout_.page_size * tensor->nb[1];
      std::memcpy(page_of(tensor, page, layout_.page_size), bytes.data(), size);
      bytes = bytes.subspan(size);
    }
  }
}

}  // namespace pie::exec
