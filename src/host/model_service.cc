#include "host/model_service.h"

#include <numeric>
#include <utility>

#include "model/tokenizer.h"

namespace pie::host {
namespace {

/// Of all grammars of a model that nobody holds any more.
constexpr uint64_t kGrammarBytesMax = 32ULL << 20;

grammar::VocabularyData vocabulary_of(const model::Model& model) {
  const model::Tokenizer& tokenizer = model.tokenizer();
  grammar::VocabularyData data;
  data.tokens.reserve(tokenizer.vocab_size());
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    data.tokens.push_back(tokenizer.token_bytes(id));
  data.control = tokenizer.control_tokens();
  data.stops = model.info().stop_token_ids;
  data.tokenize = [&tokenizer](std::string_view text) { return tokenizer.tokenize(text); };
  return data;
}

}  // namespace

ModelService::ModelService(engine::Engine& engine, uint32_t service_id)
    : engine_(engine),
      service_id_(service_id),
      grammars_([&engine] { return vocabulary_of(engine.model()); }, kGrammarBytesMax) {}

const TokenTable& ModelService::vocabulary() const {
  std::call_once(vocabulary_once_, [this] {
    const model::Tokenizer& tokenizer = model().tokenizer();
    auto& [ids, texts] = vocabulary_;
    ids.resize(tokenizer.vocab_size());
    std::iota(ids.begin(), ids.end(), 0U);
    texts.reserve(ids.size());
    for (uint32_t id : ids) texts.push_back({tokenizer.token_bytes(id)});
  });
  return vocabulary_;
}

const TokenTable& ModelService::special_tokens() const {
  std::call_once(special_once_, [this] {
    auto& [ids, texts] = special_tokens_;
    for (auto& [id, text] : model().tokenizer().special_tokens()) {
      ids.push_back(id);
      texts.push_back({std::move(text)});
    }
  });
  return special_tokens_;
}

const ModelService* Services::find_model(std::string_view name) const {
  const auto alias = model_aliases.find(std::string(name));
  const std::string_view id = alias == model_aliases.end() ? name : alias->second;
  for (const auto& one : models)
    if (one->info().id == id) return one.get();
  return nullptr;
}

}  // namespace pie::host
