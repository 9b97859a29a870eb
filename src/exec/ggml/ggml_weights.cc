#include "exec/ggml/ggml_weights.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace pie::exec {

GgmlWeights::GgmlWeights(const model::Weights& weights) {
  context_.reset(ggml_init({weights.all().size() * ggml_tensor_overhead(), nullptr, true}));
  for (const auto& [key, source] : weights.all()) {
    std::array<int64_t, GGML_MAX_DIMS> ne = {1, 1, 1, 1};
    std::transform(source.shape.rbegin(), source.shape.rend(), ne.begin(),
                   [](uint64_t n) { return static_cast<int64_t>(n); });
    ggml_tensor* tensor = ggml_new_tensor(context_.get(), static_cast<ggml_type>(source.type),
                                          static_cast<int>(source.shape.size()), ne.data());
    ggml_set_name(tensor, source.name.c_str());
    // ggml takes a writable pointer but only reads weights: the mapping is read-only.
    auto* data = const_cast<std::byte*>(source.data.data());
    PIE_CHECK(ggml_nbytes(tensor) == source.data.size());
    buffers_.emplace_back(ggml_backend_cpu_buffer_from_ptr(data, source.data.size()));
    PIE_CHECK(ggml_backend_tensor_alloc(buffers_.back().get(), tensor, data) ==
              GGML_STATUS_SUCCESS);
    tensors_.emplace(key, tensor);
  }
}

ggml_tensor* GgmlWeights::find(model::TensorRole role, uint32_t layer) const {
  const auto found = tensors_.find({role, layer});
  return found == tensors_.end() ? nullptr : found->second;
}

}  // namespace pie::exec
