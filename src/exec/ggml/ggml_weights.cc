#include "exec/ggml/ggml_weights.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace pie::exec {
namespace {

/// As ggml's own buffers align tensors.
constexpr size_t kAlignment = 64;

}  // namespace

Result<GgmlWeights> GgmlWeights::load(const model::Weights& weights) {
  GgmlWeights loaded;
  loaded.memory_ = Mapping(weights.size_bytes() + weights.all().size() * kAlignment);
  loaded.context_.reset(ggml_init({weights.all().size() * ggml_tensor_overhead(), nullptr, true}));
  loaded.buffer_.reset(
      ggml_backend_cpu_buffer_from_ptr(loaded.memory_.get(), loaded.memory_.size()));
  std::map<std::pair<const void*, uint64_t>, std::byte*> places;  // by file and offset
  std::byte* next = loaded.memory_.get();
  for (const auto& [key, source] : weights.all()) {
    std::array<int64_t, GGML_MAX_DIMS> ne = {1, 1, 1, 1};
    std::transform(source.shape.rbegin(), source.shape.rend(), ne.begin(),
                   [](uint64_t n) { return static_cast<int64_t>(n); });
    ggml_tensor* tensor =
        ggml_new_tensor(loaded.context_.get(), static_cast<ggml_type>(source.type),
                        static_cast<int>(source.shape.size()), ne.data());
    ggml_set_name(tensor, source.name.c_str());
    PIE_CHECK(ggml_nbytes(tensor) == source.data.size);
    const auto [place, is_new] =
        places.try_emplace({source.data.file.get(), source.data.offset}, next);
    if (is_new) {
      PIE_TRY(source.data.read({next, source.data.size}));
      next += (source.data.size + kAlignment - 1) / kAlignment * kAlignment;
    }
    PIE_CHECK(ggml_backend_tensor_alloc(loaded.buffer_.get(), tensor, place->second) ==
              GGML_STATUS_SUCCESS);
    loaded.tensors_.emplace(key, tensor);
  }
  return loaded;
}

ggml_tensor* GgmlWeights::find(model::TensorRole role, uint32_t layer) const {
  const auto found = tensors_.find({role, layer});
  return found == tensors_.end() ? nullptr : found->second;
}

}  // namespace pie::exec
