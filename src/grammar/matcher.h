#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/strong_id.h"
#include "grammar/grammar.h"

namespace pie::grammar {

/// Follows a text through a grammar, token by token. Each call takes microseconds, and at most some
/// 20 ms and 64 MiB; one that would take more is an error (kResourceExhausted), after which the
/// matcher is where it was. To come back there after a long text may take several calls, which say
/// so (kUnavailable). One owner, any thread.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<const Grammar> grammar);
  Matcher(Matcher&&) noexcept = default;
  Matcher& operator=(Matcher&&) noexcept = default;

  const Grammar& grammar() const { return *grammar_; }
  /// Which tokens may be next: one bit a token (Vocabulary::mask_words), for
  /// sample::LogitRules::allowed. Tokens that end the text are among them exactly where it may end;
  /// after such a one, they alone.
  Result<std::vector<uint32_t>> mask();
  /// How many of the tokens, from the first on, may come next; the matcher stays where it is.
  Result<size_t> validate(std::span<const TokenId> tokens);
  /// Goes on by the tokens: by all of them, or by none (kInvalidArgument names the first that may
  /// not come). A token that ends the text ends it.
  Result<void> accept(std::span<const TokenId> tokens);
  /// Takes back the last tokens; kInvalidArgument when there are not so many.
  Result<void> rollback(size_t count);
  /// Another one in the same place.
  Matcher fork() const;
  /// The tokens that come next whatever is drawn, as the model's tokenizer writes them: none where
  /// there is a choice, and not those whose cut depends on what follows.
  Result<std::vector<TokenId>> forced_tokens();
  /// Whether the text may end here.
  bool can_stop();
  /// Whether it has to: nothing may follow but a token that ends it, or that was there.
  bool is_complete();
  /// Tokens that were accepted and not taken back.
  size_t length() const { return tokens_.size(); }
  /// What it holds; grows as it goes.
  uint64_t bytes() const;

 private:
  Matcher(std::shared_ptr<const Grammar> grammar, LlgMatcherPtr matcher)
      : grammar_(std::move(grammar)), matcher_(std::move(matcher)) {}
  bool has_ended() const;
  /// What was accepted, without a token that ends the text.
  std::span<const TokenId> text() const;
  /// The error of the library's matcher, which it does not survive: another takes its place.
  Error recover();
  void restart();
  /// Goes on with coming back after a restart(). kUnavailable: it takes a further call.
  Result<void> catch_up();

  std::shared_ptr<const Grammar> grammar_;
  LlgMatcherPtr matcher_;
  size_t applied_ = 0;           ///< tokens of text() that matcher_ has
  std::vector<TokenId> tokens_;  ///< that were accepted
  int64_t held_ = 0;             ///< bytes, of the library's matcher
};

}  // namespace pie::grammar
