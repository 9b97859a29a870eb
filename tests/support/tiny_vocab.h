#pragma once
#include <gguf.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pie::test {

/// A vocabulary small enough to read, in the form that model files have it.
struct TinyVocab {
  std::vector<std::string> texts;
  std::vector<int32_t> types;  ///< of GGUF: 1 normal, 2 unknown, 3 control, 6 byte
  std::vector<float> scores;   ///< of SentencePiece

  void add(std::string text, int32_t type = 1, float score = 0.0F) {
    texts.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(score);
  }
  uint32_t id(const std::string& text) const {
    for (uint32_t i = 0; i < texts.size(); ++i)
      if (texts[i] == text) return i;
    return UINT32_MAX;
  }
  void set_tokens(gguf_context* gguf) const {
    std::vector<const char*> pointers;
    for (const std::string& text : texts) pointers.push_back(text.c_str());
    gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
    gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(),
                      types.size());
  }
};

/// Byte-level BPE: the 256 bytes, "he" (the one merge), "<|end|>", "<|user|>", "<|assistant|>".
inline TinyVocab byte_vocab() {
  TinyVocab vocab;
  // GPT-2's mapping of bytes to printable characters (Radford et al., 2019, section 2.2).
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint32_t code = is_printable ? byte : next++;
    if (code < 0x80) {
      vocab.add(std::string(1, static_cast<char>(code)));
    } else {
      vocab.add({static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))});
    }
  }
  vocab.add("he");
  for (const char* text : {"<|end|>", "<|user|>", "<|assistant|>"}) vocab.add(text, 3);
  return vocab;
}

/// SentencePiece with byte fallback: control tokens as Gemma names them, the 256 bytes, letters,
/// and some words that merge from them. "▁" stands for a space.
inline TinyVocab sentence_vocab() {
  TinyVocab vocab;
  vocab.add("<pad>", 3);
  vocab.add("<eos>", 3);
  vocab.add("<bos>", 3);
  vocab.add("<unk>", 2);
  vocab.add("<start_of_turn>", 3);
  vocab.add("<end_of_turn>", 3);
  constexpr const char* kHex = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    vocab.add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 6);
  float score = -1.0F;
  for (const char* word : {"he", "ll", "hell", "hello", "▁he", "▁hell", "▁hello", "or", "▁w"})
    vocab.add(word, 1, score -= 1.0F);
  vocab.add("▁", 1, score -= 1.0F);
  for (char letter = 'a'; letter <= 'z'; ++letter)
    vocab.add(std::string(1, letter), 1, score -= 1.0F);
  return vocab;
}

inline void set_byte_vocab(gguf_context* gguf, const TinyVocab& vocab, const char* pre) {
  const char* merge = "h e";
  gguf_set_val_str(gguf, "tokenizer.ggml.model", "gpt2");
  gguf_set_val_str(gguf, "tokenizer.ggml.pre", pre);
  vocab.set_tokens(gguf);
  gguf_set_arr_str(gguf, "tokenizer.ggml.merges", &merge, 1);
  gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", vocab.id("<|end|>"));
  gguf_set_val_str(gguf, "tokenizer.chat_template",
                   "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
                   "{% if add_generation_prompt %}<|assistant|>{% endif %}");
}

inline void set_sentence_vocab(gguf_context* gguf, const TinyVocab& vocab) {
  gguf_set_val_str(gguf, "tokenizer.ggml.model", "llama");
  vocab.set_tokens(gguf);
  gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, vocab.scores.data(),
                    vocab.scores.size());
  gguf_set_val_u32(gguf, "tokenizer.ggml.bos_token_id", vocab.id("<bos>"));
  gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", vocab.id("<eos>"));
  gguf_set_val_u32(gguf, "tokenizer.ggml.unknown_token_id", vocab.id("<unk>"));
  gguf_set_val_bool(gguf, "tokenizer.ggml.add_space_prefix", false);
  gguf_set_val_str(gguf, "tokenizer.chat_template",
                   "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n"
                   "{{ m['content'] }}<end_of_turn>\n{% endfor %}"
                   "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}");
}

}  // namespace pie::test
