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

constexpr const char* kTokenize = "inferlet:core/tokenize";

struct TokenizerObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/tokenize/tokenizer";
  explicit TokenizerObject(const ModelService& service_) : service(service_) {}
  const model::Tokenizer& tokenizer() const { return service.model().tokenizer(); }
  const ModelService& service;
};

std::shared_ptr<TokenizerObject> get_tokenizer(ModelObject& model) {
  return std::make_shared<TokenizerObject>(model.service);
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

wasm::Wait<std::vector<TokenId>> tokenize(InstanceState& state, TokenizerObject& self,
                                          std::string_view text) {
  check_size("text", text.size(), state.limits.text_bytes_max);
  Charge charge(state.memory);
  charge.add(text.size() * (1 + sizeof(TokenId)));
  auto work = std::make_shared<Tokenizing>(self.tokenizer(), text, std::move(charge));
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
  return {{work->tokens}, [work] { return work->tokens->take(); }};
}

/// Bytes that are not UTF-8 (half a character, say) reach the program as U+FFFD.
std::string detokenize(InstanceState& state, TokenizerObject& self,
                       const std::vector<TokenId>& tokens) {
  check_size("text of the tokens", self.tokenizer().detokenized_size(tokens),
             state.limits.message_bytes_max);
  return self.tokenizer().detokenize(tokens);
}

const TokenTable& get_vocabs(TokenizerObject& self) { return self.service.vocabulary(); }
const TokenTable& get_special_tokens(TokenizerObject& self) {
  return self.service.special_tokens();
}
const std::string& get_split_regex(TokenizerObject& self) { return self.tokenizer().split_regex(); }

}  // namespace

void define_tokenize(wasm::HostFunctions& functions) {
  functions.resource(TokenizerObject::kResource);
  functions.add(kTokenize, "get-tokenizer", get_tokenizer);
  functions.add(kTokenize, "[method]tokenizer.tokenize", tokenize);
  functions.add(kTokenize, "[method]tokenizer.detokenize", detokenize);
  functions.add(kTokenize, "[method]tokenizer.get-vocabs", get_vocabs);
  functions.add(kTokenize, "[method]tokenizer.get-special-tokens", get_special_tokens);
  functions.add(kTokenize, "[method]tokenizer.get-split-regex", get_split_regex);
}

}  // namespace pie::host
