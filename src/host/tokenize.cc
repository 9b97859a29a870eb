#include "model/tokenizer.h"

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

constexpr const char* kTokenize = "inferlet:core/tokenize";
constexpr const char* kTokenizerResource = "inferlet:core/tokenize/tokenizer";

struct TokenizerObject final : wasm::Object {
  explicit TokenizerObject(const ModelService& service_) : service(service_) {}
  const model::Tokenizer& tokenizer() const { return service.model().tokenizer(); }
  const ModelService& service;
};

void get_tokenizer(Call& call) {
  auto model = call.object<ModelObject>(0);
  call.ret(Value::handle(kTokenizerResource, std::make_shared<TokenizerObject>(model->service)));
}

/// A text that is tokenized, here or in the background; ready when it is.
struct Tokenization final : wasm::Event {
  std::vector<TokenId> tokens;  ///< written before fire(), read after ready()
};

/// Tokenizing takes up to 2.5 us a byte (measured), and nothing can interrupt it.
constexpr size_t kInlineBytesMax = 4096;

wasm::Wait tokenize(Call& call) {
  auto self = call.object<TokenizerObject>(0);
  std::string_view text = call.string(1);
  InstanceState& state = state_of(call);
  check_size("text", text.size(), state.limits.text_bytes_max);
  auto work = std::make_shared<Tokenization>();
  const model::Tokenizer& tokenizer = self->tokenizer();
  if (text.size() <= kInlineBytesMax) {
    work->tokens = tokenizer.tokenize(text);
    work->fire();
  } else {
    state.services.background.run([work, &tokenizer, copy = std::string(text)] {
      work->tokens = tokenizer.tokenize(copy);
      work->fire();
    });
  }
  return {{work},
          [work](const std::vector<uint32_t>&) { return Value::u32s(std::move(work->tokens)); }};
}

/// Bytes that are not UTF-8 (half a character, say) reach the program as U+FFFD.
void detokenize(Call& call) {
  auto self = call.object<TokenizerObject>(0);
  call.ret(Value::string(self->tokenizer().detokenize(call.u32s(1))));
}

}  // namespace

void define_tokenize(wasm::Registry& registry) {
  registry.resource(kTokenize, "tokenizer");
  registry.function(kTokenize, "get-tokenizer", get_tokenizer);
  registry.async_function(kTokenize, "[method]tokenizer.tokenize", tokenize);
  registry.function(kTokenize, "[method]tokenizer.detokenize", detokenize);
  registry.function(kTokenize, "[method]tokenizer.get-vocabs", [](Call& call) {
    call.ret(call.object<TokenizerObject>(0)->service.vocabulary());
  });
  registry.function(kTokenize, "[method]tokenizer.get-special-tokens", [](Call& call) {
    call.ret(call.object<TokenizerObject>(0)->service.special_tokens());
  });
  registry.function(kTokenize, "[method]tokenizer.get-split-regex", [](Call& call) {
    call.ret(Value::string(call.object<TokenizerObject>(0)->tokenizer().split_regex()));
  });
}

}  // namespace pie::host
