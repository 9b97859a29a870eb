#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/result.h"
#include "grammar/vocabulary.h"

struct LlgMatcher;

namespace pie::grammar {

enum class GrammarKind {
  kJsonSchema,
  kRegex,  ///< of the whole text, in Rust's syntax
  kLark,   ///< llguidance's dialect
  kGbnf,   ///< llama.cpp's notation
};

struct LlgMatcherDeleter {
  void operator()(LlgMatcher* matcher) const;
};
using LlgMatcherPtr = std::unique_ptr<LlgMatcher, LlgMatcherDeleter>;

/// What texts are allowed, compiled for a vocabulary. Immutable and thread-safe.
class Grammar {
 public:
  /// Takes milliseconds, at most half a second and 128 MiB; adds the processor time that it took to
  /// `cpu_ns`, if given: it is not this thread's. kInvalidArgument: the text is wrong, asks for
  /// what cannot be enforced (the error names it), or for too much.
  static Result<std::shared_ptr<const Grammar>> compile(
      std::shared_ptr<const Vocabulary> vocabulary, GrammarKind kind, std::string_view text,
      uint64_t* cpu_ns = nullptr);

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  /// What it holds.
  uint64_t bytes() const { return bytes_; }
  /// A matcher of the library's, at the beginning.
  LlgMatcherPtr start() const;

 private:
  Grammar(std::shared_ptr<const Vocabulary> vocabulary, LlgMatcherPtr matcher, uint64_t bytes)
      : vocabulary_(std::move(vocabulary)), matcher_(std::move(matcher)), bytes_(bytes) {}

  const std::shared_ptr<const Vocabulary> vocabulary_;
  mutable std::mutex mutex_;     ///< of the matcher, which is only cloned
  const LlgMatcherPtr matcher_;  ///< at the beginning
  const uint64_t bytes_;
};

}  // namespace pie::grammar
