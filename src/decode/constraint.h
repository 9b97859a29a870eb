#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/strong_id.h"

namespace pie::decode {

/// What may come next, and how far a text has come in that: a grammar's matcher. One thread at a
/// time; quick (it is asked between two steps).
class Constraint {
 public:
  virtual ~Constraint() = default;
  /// The tokens that may come next, as sample::LogitRules::allowed says it.
  virtual Result<std::vector<uint32_t>> mask() = 0;
  /// How many of the tokens, one after the other, may come. Changes nothing.
  virtual size_t count_valid(std::span<const TokenId> tokens) = 0;
  /// They have come; kInvalidArgument when they may not.
  virtual Result<void> accept(std::span<const TokenId> tokens) = 0;
  /// The last `count` accepted ones have not.
  virtual Result<void> rollback(size_t count) = 0;
  /// Tokens that are likely to come for want of another text; may be empty.
  virtual std::vector<TokenId> forced() = 0;
  /// Whether nothing may follow.
  virtual bool is_complete() = 0;
};

}  // namespace pie::decode
