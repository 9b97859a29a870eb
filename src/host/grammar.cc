#include "grammar/grammar.h"

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "host/answer.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/matcher_object.h"
#include "host/objects.h"
#include "host/pass_object.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

using wasm::Wait;
using wasm::WitResult;
using CompiledGrammar = std::shared_ptr<const grammar::Grammar>;

constexpr const char* kGrammar = "pie:grammar/grammar";
/// A list of tokens that a matcher looks at is one host call, which nothing can interrupt.
constexpr size_t kTokensMax = 4'096;

/// `grammar`; charged as if nobody else had it.
struct GrammarObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:grammar/grammar/grammar";
  /// Throws wasm::LimitError.
  GrammarObject(CompiledGrammar grammar_, const std::shared_ptr<HostMemory>& memory)
      : grammar(std::move(grammar_)), charge(memory) {
    charge.add(grammar->bytes());
  }
  const CompiledGrammar grammar;
  Charge charge;
};
using GrammarRef = std::shared_ptr<GrammarObject>;

/// Held by who waits for a grammar; it is not begun when nobody does.
struct CompileInterest {
  ~CompileInterest() { source.request_stop(); }
  std::stop_source source;
};

std::string too_long(size_t bytes, uint64_t bytes_max) {
  return "[grammar] got " + std::to_string(bytes) + " bytes, expected at most " +
         std::to_string(bytes_max);
}

template <grammar::GrammarKind kKind>
Wait<WitResult<GrammarRef, std::string>> compile(InstanceState& state, ModelObject& model,
                                                 std::string text) {
  if (text.size() > state.limits.text_bytes_max)
    return {{},
            [error = too_long(text.size(), state.limits.text_bytes_max)]()
                -> WitResult<GrammarRef, std::string> { return wasm::Err(error); }};
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(text.size());
  auto answer = std::make_shared<Answer<CompiledGrammar>>();
  auto interest = std::make_shared<CompileInterest>();
  // The instance holds its engines' models until it has ended, and so `interest` until then.
  value_or_throw(state.services.background.post_once(
      state.user,
      [answer, charge, text = std::move(text), &cache = model.service.grammars(),
       stop = interest->source.get_token(), cpu = state.cpu_quota] {
        if (stop.stop_requested()) return;
        uint64_t cpu_ns = 0;
        auto grammar = guarded("grammar", [&] { return cache.get(kKind, text, &cpu_ns); });
        if (cpu) cpu->add(cpu_ns);
        answer->set(std::move(grammar));
      },
      state.cpu_quota));
  return {{answer},
          [answer, interest, memory = state.memory]() -> WitResult<GrammarRef, std::string> {
            auto grammar = answer->take_result();
            if (!grammar.ok()) return wasm::Err(std::move(grammar).error().message);
            return wasm::Ok(std::make_shared<GrammarObject>(std::move(*grammar), memory));
          }};
}

std::shared_ptr<MatcherObject> make_matcher(InstanceState& state, GrammarObject& grammar) {
  return std::make_shared<MatcherObject>(grammar::Matcher(grammar.grammar), state.memory);
}

/// What a call of the matcher gives, which is charged for what it has come to hold.
template <class T>
WitResult<T, std::string> settled(MatcherObject& self, Result<T> result) {
  self.settle();
  return result;
}

Result<void> check_count(const std::vector<TokenId>& tokens) {
  if (tokens.size() <= kTokensMax) return {};
  return Error{ErrorCode::kInvalidArgument, "[tokens] got " + std::to_string(tokens.size()) +
                                                " tokens, expected at most " +
                                                std::to_string(kTokensMax) + "; use several calls"};
}

WitResult<std::vector<uint32_t>, std::string> mask(MatcherObject& self) {
  return settled(self, self.matcher.mask());
}

Result<void> constrain_pass(MatcherObject& self, PassObject& pass, uint32_t index) {
  PIE_TRY_ASSIGN(std::vector<uint32_t> words, self.matcher.mask());
  const uint32_t vocab_size = pass.vocab_size();
  if (const size_t size = self.matcher.grammar().vocabulary().size(); size != vocab_size)
    return Error{ErrorCode::kInvalidArgument,
                 "[grammar] got one of a vocabulary of " + std::to_string(size) +
                     " tokens, expected one of the pass's model, of " + std::to_string(vocab_size)};
  return pass.rules.change(std::vector<uint32_t>{index}, words.size(), vocab_size,
                           [&](sample::LogitRules& rules) {
                             if (rules.allowed.empty()) {
                               rules.allowed = std::move(words);
                               return;
                             }
                             for (size_t i = 0; i < words.size(); ++i) rules.allowed[i] &= words[i];
                           });
}

WitResult<void, std::string> constrain(MatcherObject& self, PassObject& pass, uint32_t index) {
  return settled(self, constrain_pass(self, pass, index));
}

WitResult<uint32_t, std::string> validate(MatcherObject& self, const std::vector<TokenId>& tokens) {
  return settled(self, [&]() -> Result<uint32_t> {
    PIE_TRY(check_count(tokens));
    PIE_TRY_ASSIGN(const size_t count, self.matcher.validate(tokens));
    return static_cast<uint32_t>(count);
  }());
}

WitResult<void, std::string> accept(MatcherObject& self, const std::vector<TokenId>& tokens) {
  return settled(self, [&]() -> Result<void> {
    PIE_TRY(check_count(tokens));
    return self.matcher.accept(tokens);
  }());
}

WitResult<void, std::string> rollback(MatcherObject& self, uint32_t count) {
  return settled(self, self.matcher.rollback(count));
}

std::shared_ptr<MatcherObject> fork(MatcherObject& self) {
  return std::make_shared<MatcherObject>(self.matcher.fork(), self.memory);
}

WitResult<std::vector<TokenId>, std::string> forced_tokens(MatcherObject& self) {
  return settled(self, self.matcher.forced_tokens());
}

bool can_stop(MatcherObject& self) { return self.matcher.can_stop(); }
bool is_complete(MatcherObject& self) { return self.matcher.is_complete(); }

}  // namespace

void define_grammar(wasm::HostFunctions& functions) {
  using grammar::GrammarKind;
  functions.resource(GrammarObject::kResource);
  functions.add(kGrammar, "[static]grammar.from-json-schema", compile<GrammarKind::kJsonSchema>);
  functions.add(kGrammar, "[static]grammar.from-regex", compile<GrammarKind::kRegex>);
  functions.add(kGrammar, "[static]grammar.from-lark", compile<GrammarKind::kLark>);
  functions.add(kGrammar, "[static]grammar.from-gbnf", compile<GrammarKind::kGbnf>);

  functions.resource(MatcherObject::kResource);
  functions.add(kGrammar, "[constructor]matcher", make_matcher);
  functions.add(kGrammar, "[method]matcher.mask", mask);
  functions.add(kGrammar, "[method]matcher.constrain", constrain);
  functions.add(kGrammar, "[method]matcher.validate", validate);
  functions.add(kGrammar, "[method]matcher.accept", accept);
  functions.add(kGrammar, "[method]matcher.rollback", rollback);
  functions.add(kGrammar, "[method]matcher.fork", fork);
  functions.add(kGrammar, "[method]matcher.forced-tokens", forced_tokens);
  functions.add(kGrammar, "[method]matcher.can-stop", can_stop);
  functions.add(kGrammar, "[method]matcher.is-complete", is_complete);
}

}  // namespace pie::host
