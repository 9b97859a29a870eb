#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "decode/constraint.h"
#include "grammar/matcher.h"

namespace pie::host {

/// A matcher of pie:grammar as a generation asks it.
class MatcherConstraint final : public decode::Constraint {
 public:
  explicit MatcherConstraint(grammar::Matcher matcher)
      : matcher_(std::move(matcher)), bytes_(matcher_.bytes()) {}

  Result<std::vector<uint32_t>> mask() override { return settled(matcher_.mask()); }
  size_t count_valid(std::span<const TokenId> tokens) override {
    const auto count = settled(matcher_.validate(tokens));
    return count.ok() ? *count : 0;
  }
  Result<void> accept(std::span<const TokenId> tokens) override {
    return settled(matcher_.accept(tokens));
  }
  Result<void> rollback(size_t count) override { return settled(matcher_.rollback(count)); }
  std::vector<TokenId> forced() override {
    auto tokens = settled(matcher_.forced_tokens());
    return tokens.ok() ? std::move(tokens).value() : std::vector<TokenId>();
  }
  bool is_complete() override { return matcher_.is_complete(); }

  /// What the matcher holds. From any thread.
  uint64_t bytes() const { return bytes_; }

 private:
  template <class T>
  Result<T> settled(Result<T> result) {
    bytes_ = matcher_.bytes();
    return result;
  }

  grammar::Matcher matcher_;
  std::atomic<uint64_t> bytes_;
};

}  // namespace pie::host
