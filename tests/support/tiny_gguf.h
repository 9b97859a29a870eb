#pragma once
#include <ggml.h>
#include <gguf.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace pie::test {

/// A file that goes with the object.
class TempFile {
 public:
  explicit TempFile(const std::string& name) {
    std::string folder = (std::filesystem::temp_directory_path() / "pie_test_XXXXXX").string();
    folder_ = mkdtemp(folder.data());
    path_ = folder_ / name;
  }
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path folder_, path_;
};

/// What can be varied of a tiny model of the llama family.
struct TinyShape {
  int64_t embedding = 32, heads = 2, kv_heads = 1, ffn = 64, layers = 2;
  ggml_type matrix_type = GGML_TYPE_F32;
  bool has_qkv_bias = false;
  bool has_own_output = false;
  bool has_rope_factors = false;
};

/// Writes a whole model of random weights with a byte-level vocabulary of 260 tokens: the 256
/// bytes, "he" (the one merge), "<|end|>" (EOS), "<|user|>" and "<|assistant|>" (control tokens).
class TinyGguf {
 public:
  static constexpr uint32_t kVocab = 260;
  static constexpr uint32_t kHe = 256, kEnd = 257;

  explicit TinyGguf(const TinyShape& shape = {}) : shape_(shape) {
    tensors_.reset(ggml_init({size_t{16} << 20, nullptr, false}));
    gguf_set_val_str(gguf(), "general.architecture", "llama");
    gguf_set_val_str(gguf(), "general.name", "Tiny Test");
    set("llama.block_count", shape.layers);
    set("llama.context_length", 256);
    set("llama.embedding_length", shape.embedding);
    set("llama.feed_forward_length", shape.ffn);
    set("llama.attention.head_count", shape.heads);
    set("llama.attention.head_count_kv", shape.kv_heads);
    gguf_set_val_f32(gguf(), "llama.attention.layer_norm_rms_epsilon", 1e-5F);
    gguf_set_val_f32(gguf(), "llama.rope.freq_base", 10000.0F);
    add_vocabulary();
    add_tensors();
  }

  gguf_context* gguf() { return gguf_.get(); }
  ggml_context* tensors() { return tensors_.get(); }
  void set(const char* key, int64_t value) {
    gguf_set_val_u32(gguf(), key, static_cast<uint32_t>(value));
  }
  /// Adds a tensor of random values; `ne` innermost first.
  void add(const std::string& name, ggml_type type, std::vector<int64_t> ne, float scale,
           float mean = 0.0F) {
    ggml_tensor* tensor = ggml_new_tensor(tensors(), type, static_cast<int>(ne.size()), ne.data());
    ggml_set_name(tensor, name.c_str());
    std::normal_distribution<float> draw(mean, scale);
    std::vector<float> values(static_cast<size_t>(ggml_nelements(tensor)));
    for (float& value : values) value = draw(random_);
    const int64_t rows = ggml_nrows(tensor);
    ggml_quantize_chunk(type, values.data(), tensor->data, 0, rows, tensor->ne[0], nullptr);
    gguf_add_tensor(gguf(), tensor);
  }
  void write(const std::filesystem::path& path) { gguf_write_to_file(gguf(), path.c_str(), false); }

 private:
  void add_vocabulary();
  void add_tensors();

  struct Free {
    void operator()(gguf_context* c) const { gguf_free(c); }
    void operator()(ggml_context* c) const { ggml_free(c); }
  };
  TinyShape shape_;
  std::mt19937 random_{7};
  std::unique_ptr<gguf_context, Free> gguf_{gguf_init_empty()};
  std::unique_ptr<ggml_context, Free> tensors_;
};

inline void TinyGguf::add_vocabulary() {
  // GPT-2's mapping of bytes to printable characters (Radford et al., 2019, section 2.2).
  std::vector<std::string> texts;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint32_t code = is_printable ? byte : next++;
    if (code < 0x80) {
      texts.emplace_back(1, static_cast<char>(code));
    } else {
      texts.push_back(
          {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))});
    }
  }
  texts.insert(texts.end(), {"he", "<|end|>", "<|user|>", "<|assistant|>"});
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  std::vector<int32_t> types(texts.size(), 1);
  types[kEnd] = types[kEnd + 1] = types[kEnd + 2] = 3;
  const char* merge = "h e";
  gguf_set_val_str(gguf(), "tokenizer.ggml.model", "gpt2");
  gguf_set_val_str(gguf(), "tokenizer.ggml.pre", "smollm");
  gguf_set_arr_str(gguf(), "tokenizer.ggml.tokens", pointers.data(), pointers.size());
  gguf_set_arr_data(gguf(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(),
                    types.size());
  gguf_set_arr_str(gguf(), "tokenizer.ggml.merges", &merge, 1);
  gguf_set_val_u32(gguf(), "tokenizer.ggml.eos_token_id", kEnd);
  gguf_set_val_str(gguf(), "tokenizer.chat_template",
                   "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
                   "{% if add_generation_prompt %}<|assistant|>{% endif %}");
}

inline void TinyGguf::add_tensors() {
  const int64_t e = shape_.embedding;
  const int64_t kv = e / shape_.heads * shape_.kv_heads;
  const ggml_type type = shape_.matrix_type;
  add("token_embd.weight", type, {e, kVocab}, 1.0F);
  add("output_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 1.0F);
  if (shape_.has_own_output) add("output.weight", type, {e, kVocab}, 0.3F);
  if (shape_.has_rope_factors) {
    add("rope_freqs.weight", GGML_TYPE_F32, {e / shape_.heads / 2}, 0.2F, 2.0F);
  }
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    add(block + "attn_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 1.0F);
    add(block + "attn_q.weight", type, {e, e}, 0.3F);
    add(block + "attn_k.weight", type, {e, kv}, 0.3F);
    add(block + "attn_v.weight", type, {e, kv}, 0.3F);
    add(block + "attn_output.weight", type, {e, e}, 0.3F);
    if (shape_.has_qkv_bias) {
      add(block + "attn_q.bias", GGML_TYPE_F32, {e}, 0.5F);
      add(block + "attn_k.bias", GGML_TYPE_F32, {kv}, 0.5F);
      add(block + "attn_v.bias", GGML_TYPE_F32, {kv}, 0.5F);
    }
    add(block + "ffn_norm.weight", GGML_TYPE_F32, {e}, 0.1F, 1.0F);
    add(block + "ffn_gate.weight", type, {e, shape_.ffn}, 0.3F);
    add(block + "ffn_up.weight", type, {e, shape_.ffn}, 0.3F);
    add(block + "ffn_down.weight", type, {shape_.ffn, e}, 0.2F);
  }
}

}  // namespace pie::test
