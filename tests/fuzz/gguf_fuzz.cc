#include "fuzz.h"
#include "model/gguf_file.h"

/// A model file's header: taken, or refused with a reason; every tensor lies within the file.
void pie::fuzz::fuzz(std::string_view input) {
  const MemoryFile bytes(input);
  const auto file = model::GgufFile::open(bytes.path());
  if (!file.ok()) {
    MUST(!file.error().message.empty());
    return;
  }
  unsigned sum = 0;
  for (const auto& tensor : file->tensors()) {
    MUST(tensor.data.size() <= file->size_bytes());
    for (const std::byte one : tensor.data) sum += static_cast<unsigned>(one);
  }
  for (const char* key : {"general.architecture", "general.name", "llama.block_count",
                          "tokenizer.ggml.tokens", "tokenizer.ggml.scores"}) {
    static_cast<void>(file->text_or(key, "").ok());
    static_cast<void>(file->integer_or(key, 0, 100, 1).ok());
    static_cast<void>(file->number_or(key, 1.0F).ok());
    static_cast<void>(file->word_count(key).ok());
    const auto texts = file->texts(key);
    if (texts.ok())
      for (const auto& text : *texts) sum += static_cast<unsigned>(text.size());
  }
  volatile unsigned used = sum;
  static_cast<void>(used);
}
