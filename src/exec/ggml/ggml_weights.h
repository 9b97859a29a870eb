#pragma once
#include <ggml-cpp.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "model/model.h"
#include "model/weights.h"

namespace pie::exec {

/// The model's tensors as ggml sees them, in place in the mapped files.
class GgmlWeights {
 public:
  /// `weights` must outlive this.
  explicit GgmlWeights(const model::Weights& weights);

  /// nullptr when the model has none.
  ggml_tensor* find(model::TensorRole role, uint32_t layer = 0) const;

 private:
  ggml_context_ptr context_;
  std::vector<ggml_backend_buffer_ptr> buffers_;  ///< one a tensor: shards lie anywhere
  std::map<std::pair<model::TensorRole, uint32_t>, ggml_tensor*> tensors_;
};

}  // namespace pie::exec
