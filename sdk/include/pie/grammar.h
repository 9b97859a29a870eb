#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "pie/forward.h"
#include "pie/handle.h"
#include "pie/model.h"
#include "pie/result.h"

// What a model may write (pie:grammar): a grammar says it, a matcher follows a text through it.

namespace inferlet {

/// Compiled for a model: milliseconds, and no work when the same text was compiled of late. Errors
/// name what is wrong or cannot be enforced.
class Grammar {
 public:
  /// JSON that is valid against the schema; `{}` allows any.
  static Result<Grammar> json_schema(const Model& model, std::string_view schema);
  /// Text that the expression matches as a whole, in the syntax of Rust's `regex`.
  static Result<Grammar> regex(const Model& model, std::string_view expression);
  /// Lark, in llguidance's dialect, from `start`.
  static Result<Grammar> lark(const Model& model, std::string_view text);
  /// llama.cpp's notation, from `root`.
  static Result<Grammar> gbnf(const Model& model, std::string_view text);
  abi::Handle handle() const { return handle_.get(); }

 private:
  explicit Grammar(abi::Handle handle) : handle_(handle) {}
  static Result<Grammar> lifted(const abi::GrammarResult& out);
  OwnedHandle<abi::grammar_drop> handle_;
};

/// A place in a text.
class Matcher {
 public:
  /// At the beginning.
  explicit Matcher(const Grammar& grammar) : handle_(abi::matcher_new(grammar.handle())) {}
  abi::Handle handle() const { return handle_.get(); }

  /// Which tokens may come next: one bit each, from the lowest of the first word on. Those that end
  /// the text are among them where it may end.
  Result<std::vector<uint32_t>> mask() const;
  /// Leaves these tokens at an index of the pass; the mask does not leave the host.
  Result<void> constrain(const ForwardPass& pass, uint32_t index) const;
  /// How many of the tokens may come next, from the first on; stays where it is.
  Result<uint32_t> validate(std::span<const uint32_t> tokens) const;
  /// Goes on by all of the tokens, or by none.
  Result<void> accept(std::span<const uint32_t> tokens);
  Result<void> accept(uint32_t token) { return accept({&token, 1}); }
  /// Takes back the last tokens that were accepted.
  Result<void> rollback(uint32_t count);
  /// Another one in the same place.
  Matcher fork() const { return Matcher(abi::matcher_fork(handle_.get())); }
  /// The tokens that come next whatever the model says; not accepted yet.
  Result<std::vector<uint32_t>> forced_tokens() const;
  /// Whether the text may end here.
  bool can_stop() const { return abi::matcher_can_stop(handle_.get()) != 0; }
  /// Whether it has to, or has ended.
  bool is_complete() const { return abi::matcher_is_complete(handle_.get()) != 0; }

 private:
  explicit Matcher(abi::Handle handle) : handle_(handle) {}
  OwnedHandle<abi::matcher_drop> handle_;
};

}  // namespace inferlet
