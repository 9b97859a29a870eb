#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "base/strong_id.h"

namespace pie::model {

class Tokenizer;
class ChatTemplate;
struct Architecture;  // model/architecture.h: the family described as data, for executors
class Weights;        // model/weights.h: the file's tensors, for executors

/// What tensors of one type there are.
struct TensorTypeUse {
  uint32_t tensor_count = 0;
  uint64_t bytes = 0;
};

/// What is known of a model without running it.
struct ModelInfo {
  std::string id;                   ///< short id: "smollm2-135m-instruct" (get-name of the ABI)
  std::string description;          ///< one line: name, size, quantisation
  std::vector<std::string> traits;  ///< "input_text", "output_text", "tokenize"
  std::vector<std::string> stop_tokens;  ///< texts of the tokens that end a turn
  std::vector<TokenId> stop_token_ids;
  uint32_t vocab_size = 0;
  uint32_t embedding_size = 0;  ///< n_embd
  uint32_t layer_count = 0;
  uint32_t context_length = 0;  ///< tokens the model was trained for
  std::optional<TokenId> bos_token;
  bool adds_bos = false;  ///< it expects bos_token before every text (add_bos_token)
  uint64_t parameter_count = 0;
  uint64_t size_bytes = 0;  ///< of the file, or of all shards
  uint32_t shard_count = 1;
  std::string
      quantisation;  ///< as the file names it ("Q4_K_M"), else the type of most of its bytes
  std::map<std::string, TensorTypeUse> tensor_types;  ///< by ggml's name of the type
};

/// A GGUF file opened for serving: where its weights are, tokenizer and chat template ready.
/// Immutable and thread-safe after load().
class Model {
 public:
  /// Opens the file. Errors name the file, what was found and what was expected: not GGUF, cut off,
  /// an architecture or tensor type that is not served.
  static Result<std::shared_ptr<const Model>> load(const std::filesystem::path& path);
  ~Model();

  const ModelInfo& info() const;
  const Tokenizer& tokenizer() const;
  const ChatTemplate& chat_template() const;
  const Architecture& architecture() const;
  const Weights& weights() const;
  /// Of the whole file. Reads it all: as slow as that; keep the answer. kCorrupt when the file was
  /// changed since it was loaded.
  Result<ContentHash> content_hash() const;

 private:
  Model();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pie::model
