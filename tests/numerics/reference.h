#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct llama_model;
struct llama_context;

namespace pie::test {

/// One greedy step of the reference.
struct ReferenceStep {
  int32_t token = 0;      ///< the most likely token
  int32_t runner_up = 0;  ///< the second most likely one
  float margin = 0.0F;    ///< logit of the first minus logit of the second
};

/// Which of its kernels the reference multiplies with.
enum class ReferenceKernels : uint8_t {
  kDefault,  ///< as it chooses: some types are repacked for the processor at load
  kPlain,    ///< those for the tensors as they are in the file
};

/// llama.cpp's own inference, the truth that tests compare with: one sequence, its default settings
/// (F16 cache, flash attention as it chooses), on the CPU. Throws std::runtime_error.
class Reference {
 public:
  Reference(const std::filesystem::path& model, uint32_t context_tokens, uint32_t thread_count,
            ReferenceKernels kernels = ReferenceKernels::kDefault);
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  std::vector<int32_t> tokenize(std::string_view text) const;
  /// Starts over, and computes the tokens in one batch.
  /// Returns logits of the last `row_count` tokens: f32 [row_count, n_vocab].
  std::vector<float> prefill(std::span<const int32_t> tokens, uint32_t row_count);
  /// The same in batches of `batch_tokens`; logits of the last token.
  std::vector<float> prefill_in_batches(std::span<const int32_t> tokens, uint32_t batch_tokens);
  /// Computes one more token. Returns its logits, f32 [n_vocab].
  std::vector<float> decode(int32_t token);
  /// Starts over and decodes `count` tokens after the prompt, greedily, stopping at none.
  std::vector<ReferenceStep> greedy(std::span<const int32_t> prompt, uint32_t count);
  /// The same after a prefill(), or decodes, whose last token's logits are given.
  std::vector<ReferenceStep> greedy_after(std::span<const float> logits, uint32_t count);
  /// What is computed from now on is computed under the adapter of this file; an empty path: none.
  void set_adapter(const std::filesystem::path& file);
  bool is_turn_end(int32_t token) const;
  uint32_t vocab_size() const;

 private:
  std::vector<float> append(std::span<const int32_t> tokens, size_t position, uint32_t row_count);

  struct Free {
    void operator()(llama_model* model) const;
    void operator()(llama_context* context) const;
  };
  std::unique_ptr<llama_model, Free> model_;
  std::unique_ptr<llama_context, Free> context_;
  uint32_t batch_max_;
};

/// The two best of a row of logits; the smaller id wins a tie.
ReferenceStep best_two(std::span<const float> logits);

}  // namespace pie::test
