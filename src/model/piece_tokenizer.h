#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "base/strong_id.h"

namespace pie::model {

/// Tokenizes text without special tokens, piece after piece, in steps.
class PieceTokenizer {
 public:
  virtual ~PieceTokenizer() = default;
  enum class After { kText, kSpecial };  ///< kSpecial: nothing or a special token
  /// Begins with a piece (well-formed, not empty, alive until it is done), and what is before it.
  virtual void begin(std::string_view piece, After after) = 0;
  /// Takes what it does from `work` (a unit is about a character), appends tokens. Whether the
  /// piece is done.
  virtual bool advance(size_t& work, std::vector<TokenId>& tokens) = 0;
};

/// A vocabulary and its rules. Immutable, thread-safe; outlives what it makes.
class TokenRules {
 public:
  virtual ~TokenRules() = default;
  virtual std::unique_ptr<PieceTokenizer> start() const = 0;
};

}  // namespace pie::model
