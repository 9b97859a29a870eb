#include "pie/model.h"

#include "pie/lift.h"

namespace inferlet {

std::vector<uint32_t> poll(std::span<const Pollable* const> pollables) {
  std::vector<abi::Handle> handles;
  handles.reserve(pollables.size());
  for (const Pollable* pollable : pollables) handles.push_back(pollable->handle());
  abi::U32s ready;
  abi::poll(handles.data(), handles.size(), &ready);
  return lift::numbers(ready);
}

Blob::Blob(std::span<const uint8_t> bytes) : handle_(abi::blob_new(bytes.data(), bytes.size())) {}

std::vector<uint8_t> Blob::read(uint64_t offset, uint64_t count) const {
  abi::Bytes out;
  abi::blob_read(handle_.get(), offset, count, &out);
  return lift::numbers(out);
}

std::vector<uint32_t> Queue::allocate(ResourceType type, uint32_t count) {
  abi::U32s out;
  abi::allocate_resources(handle_.get(), static_cast<uint32_t>(type), count, &out);
  return lift::numbers(out);
}

void Queue::deallocate(ResourceType type, std::span<const uint32_t> pointers) {
  abi::deallocate_resources(handle_.get(), static_cast<uint32_t>(type), pointers.data(),
                            pointers.size());
}

void Queue::synchronize() {
  OwnedHandle<abi::synchronization_drop> done(abi::queue_synchronize(handle_.get()));
  Pollable(abi::synchronization_pollable(done.get())).block();
}

std::vector<uint32_t> Tokenizer::tokenize(std::string_view text) const {
  abi::U32s out;
  abi::tokenizer_tokenize(handle_.get(), text.data(), text.size(), &out);
  return lift::numbers(out);
}

std::string Tokenizer::detokenize(std::span<const uint32_t> tokens) const {
  abi::Text out;
  abi::tokenizer_detokenize(handle_.get(), tokens.data(), tokens.size(), &out);
  return lift::text(out);
}

namespace {

std::vector<Tokenizer::Entry> entries(abi::VocabTable table) {
  const std::vector<uint32_t> ids = lift::numbers(table.ids);
  std::vector<Tokenizer::Entry> out;
  out.reserve(ids.size());
  for (uint32_t i = 0; i < ids.size(); ++i) {
    out.push_back({ids[i], lift::numbers(table.bytes.data[i])});
  }
  if (table.bytes.size != 0) std::free(table.bytes.data);
  return out;
}

}  // namespace

std::vector<Tokenizer::Entry> Tokenizer::vocabulary() const {
  abi::VocabTable table;
  abi::tokenizer_get_vocabs(handle_.get(), &table);
  return entries(table);
}

std::vector<Tokenizer::Entry> Tokenizer::special_tokens() const {
  abi::VocabTable table;
  abi::tokenizer_get_special_tokens(handle_.get(), &table);
  return entries(table);
}

std::string Model::name() const {
  abi::Text out;
  abi::model_get_name(handle_.get(), &out);
  return lift::text(out);
}

std::string Model::description() const {
  abi::Text out;
  abi::model_get_description(handle_.get(), &out);
  return lift::text(out);
}

std::string Model::prompt_template() const {
  abi::Text out;
  abi::model_get_prompt_template(handle_.get(), &out);
  return lift::text(out);
}

std::vector<std::string> Model::traits() const {
  abi::Slice<abi::Text> out;
  abi::model_get_traits(handle_.get(), &out);
  return lift::texts(out);
}

std::vector<std::string> Model::stop_tokens() const {
  abi::Slice<abi::Text> out;
  abi::model_get_stop_tokens(handle_.get(), &out);
  return lift::texts(out);
}

ModelInfo Model::info() const {
  abi::ModelFacts facts;
  abi::model_info_get(handle_.get(), &facts);
  return {facts.context_length, facts.vocab_size,
          facts.bos_token.has != 0 ? std::optional(facts.bos_token.value) : std::nullopt,
          facts.adds_bos != 0};
}

std::vector<std::string> all_models() {
  abi::Slice<abi::Text> out;
  abi::runtime_get_all_models(&out);
  return lift::texts(out);
}

std::optional<Model> find_model(std::string_view name) {
  abi::Option<abi::Handle> out;
  abi::runtime_get_model(name.data(), name.size(), &out);
  if (out.has == 0) return std::nullopt;
  return Model(out.value);
}

Result<Model> default_model() {
  const std::vector<std::string> names = all_models();
  if (names.empty()) return fail("[model] the server has none");
  std::optional<Model> model = find_model(names.front());
  if (!model) return fail("[model] the server lists '" + names.front() + "' but does not give it");
  return std::move(*model);
}

}  // namespace inferlet
