#include "model/model.h"

#include <fmt/format.h>
#include <ggml.h>

#include <algorithm>
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

/// What llama.cpp calls the mixture of types that a file was made with (general.file_type).
std::string file_type_name(uint32_t number) {
  static const std::map<uint32_t, const char*> kNames = {
      {0, "F32"},     {1, "F16"},     {2, "Q4_0"},    {3, "Q4_1"},    {7, "Q8_0"},
      {8, "Q5_0"},    {9, "Q5_1"},    {10, "Q2_K"},   {11, "Q3_K_S"}, {12, "Q3_K_M"},
      {13, "Q3_K_L"}, {14, "Q4_K_S"}, {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},
      {18, "Q6_K"},   {25, "IQ4_NL"}, {30, "IQ4_XS"}, {32, "BF16"}};
  const auto found = kNames.find(number);
  return found == kNames.end() ? "" : found->second;
}

/// Counts and sizes of the tensors, and the quantisation.
Result<void> measure(const GgufFile& file, ModelInfo& info) {
  info.size_bytes = file.size_bytes();
  info.shard_count = file.shard_count();
  for (const GgufTensor& tensor : file.tensors()) {
    uint64_t elements = 1;
    for (const uint64_t n : tensor.shape) elements *= n;
    info.parameter_count += elements;
    TensorTypeUse& use = info.tensor_types[ggml_type_name(static_cast<ggml_type>(tensor.type))];
    ++use.tensor_count;
    use.bytes += tensor.data.size;
  }
  PIE_TRY_ASSIGN(const uint32_t number,
                 file.integer_or("general.file_type", 0, UINT32_MAX, UINT32_MAX));
  info.quantisation = file_type_name(number);
  const auto most = std::max_element(
      info.tensor_types.begin(), info.tensor_types.end(),
      [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; });
  if (info.quantisation.empty() && most != info.tensor_types.end()) info.quantisation = most->first;
  return {};
}

Result<NameParts> read_names(const GgufFile& file) {
  NameParts parts;
  PIE_TRY_ASSIGN(parts.name, file.text_or("general.name", ""));
  PIE_TRY_ASSIGN(parts.basename, file.text_or("general.basename", ""));
  PIE_TRY_ASSIGN(parts.size_label, file.text_or("general.size_label", ""));
  PIE_TRY_ASSIGN(parts.finetune, file.text_or("general.finetune", ""));
  return parts;
}

Result<ModelInfo> make_info(const GgufFile& file, const std::filesystem::path& path,
                            const Architecture& architecture, const LoadedTokenizer& vocabulary) {
  PIE_TRY_ASSIGN(const NameParts parts, read_names(file));
  ModelInfo info;
  info.id = short_model_id(path, parts);
  PIE_TRY(measure(file, info));
  info.description = fmt::format("{}, {:.1f}M parameters, {}, {:.1f} MiB",
                                 parts.name.empty() ? info.id : parts.name,
                                 static_cast<double>(info.parameter_count) / 1e6, info.quantisation,
                                 static_cast<double>(info.size_bytes) / (1024.0 * 1024.0));
  info.traits = {"input_text", "output_text", "tokenize"};
  info.stop_token_ids = vocabulary.special.turn_ends;
  for (const TokenId id : info.stop_token_ids) {
    info.stop_tokens.push_back(vocabulary.tokenizer->token_bytes(id));
  }
  info.bos_token = vocabulary.special.bos;
  info.adds_bos = vocabulary.special.bos.has_value() && vocabulary.special.adds_bos;
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
    PIE_TRY_ASSIGN(impl->info, make_info(impl->file, path, impl->architecture, impl->vocabulary));
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
Result<ContentHash> Model::content_hash() const { return impl_->file.content_hash(); }

}  // namespace pie::model
