#pragma once
#include <ggml-cpp.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "base/mapping.h"
#include "base/result.h"
#include "model/model.h"
#include "model/weights.h"

namespace pie::exec {

/// The model's tensors as ggml sees them, in memory of their own.
class GgmlWeights {
 public:
  /// Reads them all: nothing of the file is needed after that. kCorrupt when it was changed since
  /// it was opened. Throws std::bad_alloc.
  static Result<GgmlWeights> load(const model::Weights& weights);

  /// nullptr when the model has none.
  ggml_tensor* find(model::TensorRole role, uint32_t layer = 0) const;

 private:
  GgmlWeights() = default;

  Mapping memory_;
  ggml_context_ptr context_;
  ggml_backend_buffer_ptr buffer_;
  std::map<std::pair<model::TensorRole, uint32_t>, ggml_tensor*> tensors_;
};

}  // namespace pie::exec
