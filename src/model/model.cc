#include "model/model.h"

#include <fmt/format.h>
#include <ggml.h>

#include <map>

#include "model/architecture.h"
#include "model/chat_template.h"
#include "model/ggml_log.h"
#include "model/gguf_file.h"
#include "model/jinja_template.h"
#include "model/llama_tokenizer.h"
#include "model/model_id.h"
#include "model/tokenizer.h"
#include "model/weights.h"

namespace pie::model {

struct Model::Impl {
  explicit Impl(GgufFile opened) : file(std::move(opened)) {}

  GgufFile file;
  ModelInfo info;
  Architecture architecture;
  Weights weights;
  LoadedTokenizer vocabulary;
  std::unique_ptr<ChatTemplate> chat_template;
};

namespace {

/// One line: name, parameters, the type that most of the bytes have.
std::string describe(const GgufFile& file, const NameParts& parts, const std::string& id) {
  uint64_t parameters = 0;
  std::map<uint32_t, uint64_t> bytes_of_type;
  for (const GgufTensor& tensor : file.tensors()) {
    uint64_t elements = 1;
    for (const uint64_t n : tensor.shape) elements *= n;
    parameters += elements;
    bytes_of_type[tensor.type] += tensor.data.size();
  }
  uint32_t type = 0;
  uint64_t most = 0;
  for (const auto& [candidate, bytes] : bytes_of_type) {
    if (bytes > most) type = candidate, most = bytes;
  }
  return fmt::format("{}, {:.1f}M parameters, {}, {:.1f} MiB", parts.name.empty() ? id : parts.name,
                     static_cast<double>(parameters) / 1e6,
                     ggml_type_name(static_cast<ggml_type>(type)),
                     static_cast<double>(file.size_bytes()) / (1024.0 * 1024.0));
}

Result<NameParts> read_names(const GgufFile& file) {
  NameParts parts;
  PIE_TRY_ASSIGN(parts.name, file.text_or("general.name", ""));
  PIE_TRY_ASSIGN(parts.basename, file.text_or("general.basename", ""));
  PIE_TRY_ASSIGN(parts.size_label, file.text_or("general.size_label", ""));
  PIE_TRY_ASSIGN(parts.finetune, file.text_or("general.finetune", ""));
  return parts;
}

ModelInfo make_info(const GgufFile& file, const std::filesystem::path& path, const NameParts& parts,
                    const Architecture& architecture, const LoadedTokenizer& vocabulary) {
  ModelInfo info;
  info.id = short_model_id(path, parts);
  info.description = describe(file, parts, info.id);
  info.traits = {"input_text", "output_text", "tokenize"};
  info.stop_token_ids = vocabulary.special.turn_ends;
  for (const TokenId id : info.stop_token_ids) {
    info.stop_tokens.push_back(vocabulary.tokenizer->token_bytes(id));
  }
  info.vocab_size = architecture.vocab_size;
  info.embedding_size = architecture.embedding_size;
  info.layer_count = architecture.layer_count;
  info.context_length = architecture.context_length;
  return info;
}

}  // namespace

Model::Model() = default;
Model::~Model() = default;

Result<std::shared_ptr<const Model>> Model::load(const std::filesystem::path& path) {
  route_ggml_log();
  const std::string context = fmt::format("model file {}", path.string());
  auto load_parts = [&]() -> Result<std::unique_ptr<Impl>> {
    PIE_TRY_ASSIGN(GgufFile file, GgufFile::open(path));
    auto impl = std::make_unique<Impl>(std::move(file));
    PIE_TRY_ASSIGN(impl->architecture, read_architecture(impl->file));
    PIE_TRY_ASSIGN(impl->weights, Weights::load(impl->file, impl->architecture));
    PIE_TRY_ASSIGN(impl->vocabulary, load_llama_tokenizer(impl->file));
    const uint32_t token_count = impl->vocabulary.tokenizer->vocab_size();
    if (token_count > impl->architecture.vocab_size) {
      return Error{
          ErrorCode::kCorrupt,
          fmt::format("[tokenizer.ggml.tokens] got {} tokens, expected at most the {} rows "
                      "of the embedding table",
                      token_count, impl->architecture.vocab_size)};
    }
    PIE_TRY_ASSIGN(std::string source, impl->file.text_or("tokenizer.chat_template", ""));
    const SpecialIds& special = impl->vocabulary.special;
    impl->chat_template =
        make_jinja_template(std::move(source), special.bos_text, special.eos_text);
    PIE_TRY_ASSIGN(const NameParts names, read_names(impl->file));
    impl->info = make_info(impl->file, path, names, impl->architecture, impl->vocabulary);
    return impl;
  };
  auto impl = load_parts();
  if (!impl.ok()) return std::move(impl).error().within(context);
  std::shared_ptr<Model> model(new Model);
  model->impl_ = std::move(impl).value();
  return std::shared_ptr<const Model>(std::move(model));
}

const ModelInfo& Model::info() const { return impl_->info; }
const Tokenizer& Model::tokenizer() const { return *impl_->vocabulary.tokenizer; }
const ChatTemplate& Model::chat_template() const { return *impl_->chat_template; }
const Architecture& Model::architecture() const { return impl_->architecture; }
const Weights& Model::weights() const { return impl_->weights; }

}  // namespace pie::model
