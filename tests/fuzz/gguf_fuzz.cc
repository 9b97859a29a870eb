#include "fuzz.h"
#include "model/architecture.h"
#include "model/gguf_file.h"
#include "model/rope.h"
#include "model/weights.h"

namespace {

/// What executors rely on without looking again.
void check_architecture(const pie::model::Architecture& a) {
  MUST(a.layer_count > 0 && a.head_count > 0 && a.kv_head_count > 0);
  MUST(a.head_count % a.kv_head_count == 0);
  MUST(a.is_windowed.empty() || a.is_windowed.size() == a.layer_count);
  MUST(a.is_windowed.empty() == (a.sliding_window == 0));
  for (uint32_t layer = 0; layer < a.layer_count; ++layer) {
    const pie::model::Rope& rope = a.rope_of(layer);
    MUST(rope.dims % 2 == 0 && rope.dims <= a.key_size && rope.factor >= 1.0F);
    MUST(pie::model::rope_table(rope, {}).frequencies.size() == rope.dims / 2);
  }
}

}  // namespace

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
    MUST(tensor.data.size <= file->size_bytes());
    std::vector<std::byte> data(tensor.data.size);
    MUST(tensor.data.read(data).ok());
    for (const std::byte one : data) sum += static_cast<unsigned>(one);
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
  const auto architecture = model::read_architecture(*file);
  if (architecture.ok()) {
    check_architecture(*architecture);
    const auto weights = model::Weights::load(*file, *architecture);
    MUST(weights.ok() || !weights.error().message.empty());
    if (weights.ok()) MUST(weights->find(model::TensorRole::kOutput) != nullptr);
  }
  volatile unsigned used = sum;
  static_cast<void>(used);
}
