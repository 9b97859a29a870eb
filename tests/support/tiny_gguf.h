#pragma once
#include <ggml.h>
#include <gguf.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/temp_file.h"
#include "support/tiny_vocab.h"

namespace pie::test {

/// What can be varied of a tiny model.
struct TinyShape {
  std::string family = "llama";  ///< llama, qwen2, qwen3, gemma2 or gemma3
  int64_t embedding = 32, heads = 2, kv_heads = 1, ffn = 64, layers = 2;
  int64_t head_size = 0;  ///< 0 = embedding / heads
  int64_t window = 0;     ///< attention.sliding_window; 0 = no such key
  ggml_type matrix_type = GGML_TYPE_F32;
  bool has_qkv_bias = false;  ///< qwen2 has one in any case
  bool has_own_output = false;
  bool has_rope_factors = false;
  std::string name = "Tiny Test";

  bool is_gemma() const { return family == "gemma2" || family == "gemma3"; }
  int64_t head() const { return head_size != 0 ? head_size : embedding / heads; }
};

/// Writes a whole model of random weights, the same on every run. Gemma families get
/// sentence_vocab(), the others byte_vocab().
class TinyGguf {
 public:
  static constexpr uint32_t kVocab = 260;           ///< of byte_vocab()
  static constexpr uint32_t kHe = 256, kEnd = 257;  ///< tokens of it

  explicit TinyGguf(const TinyShape& shape = {})
      : shape_(shape), vocab_(shape.is_gemma() ? sentence_vocab() : byte_vocab()) {
    tensors_.reset(ggml_init({size_t{64} << 20, nullptr, false}));
    gguf_set_val_str(gguf(), "general.architecture", shape.family.c_str());
    gguf_set_val_str(gguf(), "general.name", shape.name.c_str());
    add_sizes();
    if (shape.is_gemma()) {
      set_sentence_vocab(gguf(), vocab_);
    } else {
      set_byte_vocab(gguf(), vocab_, shape.family == "llama" ? "smollm" : "qwen2");
    }
    add_tensors();
  }

  gguf_context* gguf() { return gguf_.get(); }
  ggml_context* tensors() { return tensors_.get(); }
  const TinyVocab& vocab() const { return vocab_; }
  /// The key with the family's name before it.
  std::string key(const std::string& name) const { return shape_.family + "." + name; }
  void set(const std::string& key, int64_t value) {
    gguf_set_val_u32(gguf(), key.c_str(), static_cast<uint32_t>(value));
  }
  void set_float(const std::string& key, float value) {
    gguf_set_val_f32(gguf(), key.c_str(), value);
  }
  void set_text(const std::string& key, const std::string& value) {
    gguf_set_val_str(gguf(), key.c_str(), value.c_str());
  }
  /// Adds a tensor of random values; `ne` innermost first.
  void add(const std::string& name, ggml_type type, std::vector<int64_t> ne, float scale,
           float mean = 0.0F) {
    ggml_tensor* tensor = ggml_new_tensor(tensors(), type, static_cast<int>(ne.size()), ne.data());
    ggml_set_name(tensor, name.c_str());
    std::normal_distribution<float> draw(mean, scale);
    std::vector<float> values(static_cast<size_t>(ggml_nelements(tensor)));
    for (float& value : values) value = draw(random_);
    if (type == GGML_TYPE_I32) {  // a type that no matrix can have
      ggml_set_zero(tensor);
    } else {
      ggml_quantize_chunk(type, values.data(), tensor->data, 0, ggml_nrows(tensor), tensor->ne[0],
                          nullptr);
    }
    gguf_add_tensor(gguf(), tensor);
  }
  void write(const std::filesystem::path& path) { gguf_write_to_file(gguf(), path.c_str(), false); }
  /// Writes `count` shards NAME-00001-of-0000N.gguf; the first has all keys. Their paths.
  std::vector<std::filesystem::path> write_shards(const std::filesystem::path& folder,
                                                  const std::string& name, int count);

 private:
  void add_sizes();
  void add_tensors();
  void add_layer(const std::string& block);

  struct Free {
    void operator()(gguf_context* c) const { gguf_free(c); }
    void operator()(ggml_context* c) const { ggml_free(c); }
  };
  TinyShape shape_;
  TinyVocab vocab_;
  std::mt19937 random_{7};
  std::unique_ptr<gguf_context, Free> gguf_{gguf_init_empty()};
  std::unique_ptr<ggml_context, Free> tensors_;
};

inline void TinyGguf::add_sizes() {
  set(key("block_count"), shape_.layers);
  set(key("context_length"), 256);
  set(key("embedding_length"), shape_.embedding);
  set(key("feed_forward_length"), shape_.ffn);
  set(key("attention.head_count"), shape_.heads);
  set(key("attention.head_count_kv"), shape_.kv_heads);
  set_float(key("attention.layer_norm_rms_epsilon"), 1e-5F);
  set_float(key("rope.freq_base"), 10000.0F);
  if (shape_.window != 0) set(key("attention.sliding_window"), shape_.window);
  if (shape_.head_size == 0) return;
  set(key("attention.key_length"), shape_.head_size);
  set(key("attention.value_length"), shape_.head_size);
}

inline void TinyGguf::add_tensors() {
  const int64_t e = shape_.embedding;
  const auto vocab = static_cast<int64_t>(vocab_.texts.size());
  const ggml_type type = shape_.matrix_type;
  add("token_embd.weight", type, {e, vocab}, shape_.is_gemma() ? 0.2F : 1.0F);
  add("output_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 1.0F);
  if (shape_.has_own_output) add("output.weight", type, {e, vocab}, 0.3F);
  if (shape_.has_rope_factors) {
    add("rope_freqs.weight", GGML_TYPE_F32, {shape_.head() / 2}, 0.2F, 2.0F);
  }
  for (int64_t layer = 0; layer < shape_.layers; ++layer)
    add_layer("blk." + std::to_string(layer) + ".");
}

inline void TinyGguf::add_layer(const std::string& block) {
  const int64_t e = shape_.embedding;
  const int64_t q = shape_.head() * shape_.heads;
  const int64_t kv = shape_.head() * shape_.kv_heads;
  const ggml_type type = shape_.matrix_type;
  add(block + "attn_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 1.0F);
  add(block + "attn_q.weight", type, {e, q}, 0.3F);
  add(block + "attn_k.weight", type, {e, kv}, 0.3F);
  add(block + "attn_v.weight", type, {e, kv}, 0.3F);
  add(block + "attn_output.weight", type, {q, e}, 0.3F);
  if (shape_.has_qkv_bias || shape_.family == "qwen2") {
    add(block + "attn_q.bias", GGML_TYPE_F32, {q}, 0.5F);
    add(block + "attn_k.bias", GGML_TYPE_F32, {kv}, 0.5F);
    add(block + "attn_v.bias", GGML_TYPE_F32, {kv}, 0.5F);
  }
  if (shape_.family == "qwen3" || shape_.family == "gemma3") {
    add(block + "attn_q_norm.weight", GGML_TYPE_F32, {shape_.head()}, 0.2F, 1.0F);
    add(block + "attn_k_norm.weight", GGML_TYPE_F32, {shape_.head()}, 0.2F, 1.0F);
  }
  if (shape_.is_gemma()) {
    add(block + "post_attention_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 0.7F);
    add(block + "post_ffw_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 0.7F);
  }
  add(block + "ffn_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 1.0F);
  add(block + "ffn_gate.weight", type, {e, shape_.ffn}, 0.3F);
  add(block + "ffn_up.weight", type, {e, shape_.ffn}, 0.3F);
  add(block + "ffn_down.weight", type, {shape_.ffn, e}, 0.2F);
}

inline std::vector<std::filesystem::path> TinyGguf::write_shards(
    const std::filesystem::path& folder, const std::string& name, int count) {
  std::vector<std::filesystem::path> paths;
  const int64_t total = gguf_get_n_tensors(gguf());
  for (int shard = 0; shard < count; ++shard) {
    const std::unique_ptr<gguf_context, Free> part(gguf_init_empty());
    if (shard == 0) gguf_set_kv(part.get(), gguf());
    gguf_set_val_u16(part.get(), "split.no", static_cast<uint16_t>(shard));
    gguf_set_val_u16(part.get(), "split.count", static_cast<uint16_t>(count));
    gguf_set_val_i32(part.get(), "split.tensors.count", static_cast<int32_t>(total));
    for (int64_t i = total * shard / count; i < total * (shard + 1) / count; ++i)
      gguf_add_tensor(part.get(), ggml_get_tensor(tensors(), gguf_get_tensor_name(gguf(), i)));
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, "-%05d-of-%05d.gguf", shard + 1, count);
    paths.push_back(folder / (name + suffix));
    gguf_write_to_file(part.get(), paths.back().c_str(), false);
  }
  return paths;
}

}  // namespace pie::test
