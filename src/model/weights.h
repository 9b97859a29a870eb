#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/gguf_file.h"

namespace pie::model {

struct Architecture;
/// What a tensor is for. Shapes are outermost first, in the words of Architecture.
enum class TensorRole : uint8_t {
  kTokenEmbedding,  ///< [vocab_size, embedding_size]
  kOutputNorm,      ///< [embedding_size]
  kOutput,          ///< [vocab_size, embedding_size]; the embedding table when tied
  kRopeFactors,     ///< [rope.dims / 2]
  // one of each per layer:
  kAttentionNorm,        ///< [embedding_size]
  kQuery,                ///< [head_count * key_size, embedding_size]
  kKey,                  ///< [kv_head_count * key_size, embedding_size]
  kValue,                ///< [kv_head_count * value_size, embedding_size]
  kQueryBias,            ///< [head_count * key_size]
  kKeyBias,              ///< [kv_head_count * key_size]
  kValueBias,            ///< [kv_head_count * value_size]
  kQueryNorm,            ///< [key_size], shared by the heads
  kKeyNorm,              ///< [key_size], shared by the heads
  kAttentionOutput,      ///< [embedding_size, head_count * value_size]
  kAttentionOutputBias,  ///< [embedding_size]
  kAttentionPostNorm,    ///< [embedding_size]
  kFfnNorm,              ///< [embedding_size]
  kFfnGate,              ///< [ffn_size, embedding_size]
  kFfnUp,                ///< [ffn_size, embedding_size]
  kFfnDown,              ///< [embedding_size, ffn_size]
  kFfnPostNorm,          ///< [embedding_size]
};

/// A tensor of the file.
struct Tensor {
  std::string name;
  uint32_t type = 0;            ///< ggml's type number (GGUF specification, "ggml_type")
  std::vector<uint64_t> shape;  ///< outermost first
  FileBytes data;               ///< read by who needs them: executors keep what they use
};

/// The tensors of a model by role and layer; shapes agree with the Architecture. Immutable.
class Weights {
 public:
  /// kCorrupt names a tensor that is missing or has another shape than the architecture asks for;
  /// kUnsupported one of a type that can't be multiplied, or that the architecture has no use for
  /// (to leave it out would compute something else than the file means).
  static Result<Weights> load(const GgufFile& file, const Architecture& architecture);

  /// nullptr when the model has none.
  const Tensor* find(TensorRole role, uint32_t layer = 0) const;
  /// One that the architecture asks for; its absence is a bug of the caller.
  const Tensor& get(TensorRole role, uint32_t layer = 0) const;
  /// All of them; a tied output appears under both roles.
  const std::map<std::pair<TensorRole, uint32_t>, Tensor>& all() const { return tensors_; }
  /// Bytes of all of them, a tied output counted once.
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::map<std::pair<TensorRole, uint32_t>, Tensor> tensors_;
  uint64_t size_bytes_ = 0;
};

}  // namespace pie::model
