#include "model/tokenizer.h"

#include <limits>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "host/answer.h"
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

/// A text that is tokenized, here or in the background. Its program alone keeps it: what is done in
/// the background stops with the program.
struct Tokenizing {
  Tokenizing(const model::Tokenizer& tokenizer, std::string_view text, Charge charge_)
      : tokenization(tokenizer.start(std::string(text))), charge(std::move(charge_)) {}

  WorkQueue::Next advance(size_t work) {
    const auto is_done = guarded("tokenize", [&]() -> Result<bool> {
      if (!tokenization->advance(work)) return false;
      tokens->set(tokenization->take());
      return true;
    });
    if (!is_done.ok()) tokens->set(is_done.error());
    if (is_done.ok() && !*is_done) return WorkQueue::Next::kAgain;
    tokenization = nullptr;
    return WorkQueue::Next::kDone;
  }

  std::unique_ptr<model::Tokenization> tokenization;
  const std::shared_ptr<Answer<std::vector<TokenId>>> tokens =
      std::make_shared<Answer<std::vector<TokenId>>>();
  const Charge charge;
};

/// Up to so much is done at once: some milliseconds at most.
constexpr size_t kInlineBytesMax = 4096;
/// Of one turn in the background: 2 to 10 ms.
constexpr size_t kPieceOfWork = 20'000;

wasm::Wait tokenize(Call& call) {
  auto self = call.object<TokenizerObject>(0);
  std::string_view text = call.string(1);
  InstanceState& state = state_of(call);
  check_size("text", text.size(), state.limits.text_bytes_max);
  Charge charge(state.memory);
  charge.add(text.size() * (1 + sizeof(TokenId)));
  auto work = std::make_shared<Tokenizing>(self->tokenizer(), text, std::move(charge));
  if (text.size() <= kInlineBytesMax) {
    work->advance(std::numeric_limits<size_t>::max());
  } else {
    // The instance holds its engines' models until it has ended, and `work` until then.
    value_or_throw(state.services.background.post(
        state.user,
        [weak = std::weak_ptr(work)] {
          const auto live = weak.lock();
          return live ? live->advance(kPieceOfWork) : WorkQueue::Next::kDone;
        },
        state.cpu_quota));
  }
  return {{work->tokens},
          [work](const std::vector<uint32_t>&) { return Value::u32s(work->tokens->take()); }};
}

/// Bytes that are not UTF-8 (half a character, say) reach the program as U+FFFD.
void detokenize(Call& call) {
  auto self = call.object<TokenizerObject>(0);
  const std::vector<TokenId> tokens = call.u32s(1);
  check_size("text of the tokens", self->tokenizer().detokenized_size(tokens),
             state_of(call).limits.message_bytes_max);
  call.ret(Value::string(self->tokenizer().detokenize(tokens)));
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
