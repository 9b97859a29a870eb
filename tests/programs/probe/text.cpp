// Commands of inferlet:core/tokenize, pie:chat/template and inferlet:core/kvs.
#include "probe.h"

namespace probe {
namespace {

abi::Handle tokenizer(State& state) {
  if (!state.has_tokenizer || state.tokenizer_model != state.models.get()) {
    state.tokenizer_model = state.models.get();
    state.tokenizer = abi::get_tokenizer(state.tokenizer_model);
    state.has_tokenizer = true;
  }
  return state.tokenizer;
}

std::string tokenize(State& state, Words& words) {
  const std::string text = words.text();
  abi::U32s out;
  abi::tokenizer_tokenize(tokenizer(state), text.data(), text.size(), &out);
  return ok(join(lift::numbers(out)));
}

std::string detokenize(State& state, Words& words) {
  const std::vector<uint32_t> tokens = words.list();
  abi::Text out;
  abi::tokenizer_detokenize(tokenizer(state), tokens.data(), tokens.size(), &out);
  return ok(hex(lift::text(out)));
}

struct Vocab {
  std::vector<uint32_t> ids;
  std::vector<std::string> bytes;
};

Vocab lift_vocab(abi::VocabTable table) {
  Vocab vocab{lift::numbers(table.ids), {}};
  for (uint32_t i = 0; i < table.bytes.size; ++i) {
    const std::vector<uint8_t> bytes = lift::numbers(table.bytes.data[i]);
    vocab.bytes.emplace_back(bytes.begin(), bytes.end());
  }
  if (vocab.ids.size() != vocab.bytes.size()) refuse("the host gave lists of different lengths");
  return vocab;
}

Vocab vocabs(State& state) {
  abi::VocabTable table;
  abi::tokenizer_get_vocabs(tokenizer(state), &table);
  return lift_vocab(table);
}

/// Number of entries, sum of their ids, bytes in all.
std::string vocab(State& state, Words&) {
  const Vocab all = vocabs(state);
  uint64_t sum = 0;
  uint64_t bytes = 0;
  for (const uint32_t id : all.ids) sum += id;
  for (const std::string& text : all.bytes) bytes += text.size();
  return ok(std::to_string(all.ids.size()) + " " + std::to_string(sum) + " " +
            std::to_string(bytes));
}

std::string vocab_at(State& state, Words& words) {
  const uint32_t wanted = words.number();
  const Vocab all = vocabs(state);
  for (size_t i = 0; i < all.ids.size(); ++i) {
    if (all.ids[i] == wanted) return ok(hex(all.bytes[i]));
  }
  return "none";
}

std::string special(State& state, Words&) {
  abi::VocabTable table;
  abi::tokenizer_get_special_tokens(tokenizer(state), &table);
  const Vocab all = lift_vocab(table);
  std::string answer = "ok";
  for (size_t i = 0; i < all.ids.size(); ++i) {
    answer += " " + std::to_string(all.ids[i]) + ":" + hex(all.bytes[i]);
  }
  return answer;
}

std::string regex(State& state, Words&) {
  abi::Text out;
  abi::tokenizer_get_split_regex(tokenizer(state), &out);
  return ok(hex(lift::text(out)));
}

std::string render(State& state, Words& words) {
  const uint32_t add_generation_prompt = words.number();
  std::vector<std::string> texts;  // role, content, role, content, ...
  for (const std::string& word : words.rest()) {
    const std::vector<std::string> parts = split(word, ':');
    if (parts.size() != 2) refuse("got '" + word + "', expected ROLEHEX:TEXTHEX");
    for (const std::string& part : parts) texts.push_back(unhex(part));
  }
  std::vector<abi::ChatMessage> messages;
  for (size_t i = 0; i < texts.size(); i += 2) {
    messages.push_back({lift::lend(texts[i]), lift::lend(texts[i + 1])});
  }
  abi::TextResult out;
  abi::chat_render(state.models.get(), messages.data(), messages.size(),
                   static_cast<int32_t>(add_generation_prompt), &out);
  const std::string text = hex(lift::text(out.text));
  return out.is_error != 0 ? "err " + text : ok(text);
}

std::string kvs_get(State&, Words& words) {
  const std::string key = words.text();
  abi::Option<abi::Text> out;
  abi::kvs_get(key.data(), key.size(), &out);
  return out.has != 0 ? ok(hex(lift::text(out.value))) : "none";
}

std::string kvs_set(State&, Words& words) {
  const std::string key = words.text();
  const std::string value = words.text();
  abi::kvs_set(key.data(), key.size(), value.data(), value.size());
  return ok();
}

std::string kvs_delete(State&, Words& words) {
  const std::string key = words.text();
  abi::kvs_delete(key.data(), key.size());
  return ok();
}

std::string kvs_exists(State&, Words& words) {
  const std::string key = words.text();
  return ok(abi::kvs_exists(key.data(), key.size()) != 0 ? "true" : "false");
}

std::string kvs_list(State&, Words&) {
  abi::Slice<abi::Text> out;
  abi::kvs_list_keys(&out);
  return ok(hexes(lift::texts(out)));
}

constexpr Entry kCommands[] = {
    {"tokenize", tokenize},     {"detokenize", detokenize}, {"vocab", vocab},
    {"vocab-at", vocab_at},     {"special", special},       {"regex", regex},
    {"render", render},         {"kvs-get", kvs_get},       {"kvs-set", kvs_set},
    {"kvs-delete", kvs_delete}, {"kvs-exists", kvs_exists}, {"kvs-list", kvs_list},
};

}  // namespace

std::span<const Entry> text_commands() { return kCommands; }

}  // namespace probe
