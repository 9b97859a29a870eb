#include "host/model_service.h"

#include <numeric>
#include <utility>

#include "model/tokenizer.h"

namespace pie::host {
namespace {

wasm::Value bytes_value(std::string_view text) {
  return wasm::Value::bytes({text.begin(), text.end()});
}

wasm::Value token_table(std::vector<uint32_t> ids, std::vector<wasm::Value> texts) {
  return wasm::Value::tuple(
      {wasm::Value::u32s(std::move(ids)), wasm::Value::list(std::move(texts))});
}

}  // namespace

wasm::Value ModelService::vocabulary() const {
  std::call_once(vocabulary_once_, [this] {
    const model::Tokenizer& tokenizer = model().tokenizer();
    std::vector<uint32_t> ids(tokenizer.vocab_size());
    std::iota(ids.begin(), ids.end(), 0U);
    std::vector<wasm::Value> texts;
    texts.reserve(ids.size());
    for (uint32_t id : ids) texts.push_back(bytes_value(tokenizer.token_bytes(id)));
    vocabulary_ = token_table(std::move(ids), std::move(texts));
  });
  return *vocabulary_;
}

wasm::Value ModelService::special_tokens() const {
  std::call_once(special_once_, [this] {
    std::vector<uint32_t> ids;
    std::vector<wasm::Value> texts;
    for (const auto& [id, text] : model().tokenizer().special_tokens()) {
      ids.push_back(id);
      texts.push_back(bytes_value(text));
    }
    special_tokens_ = token_table(std::move(ids), std::move(texts));
  });
  return *special_tokens_;
}

const ModelService* Services::find_model(std::string_view name) const {
  const auto alias = model_aliases.find(std::string(name));
  const std::string_view id = alias == model_aliases.end() ? name : alias->second;
  for (const auto& one : models)
    if (one->info().id == id) return one.get();
  return nullptr;
}

}  // namespace pie::host
