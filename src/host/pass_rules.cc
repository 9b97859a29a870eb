#include "host/pass_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace pie::host {
namespace {

/// What an index takes here and in the engine.
constexpr uint64_t kIndexBytes = 96;

uint64_t bytes_of(const sample::LogitRules& rules) {
  return sizeof(rules) + rules.penalties.size() * sizeof(rules.penalties[0]) +
         rules.bias.size() * sizeof(rules.bias[0]) +
         rules.allowed.size() * sizeof(rules.allowed[0]);
}

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Result<void> check(const sample::LogitRules& rules, uint32_t vocab_size) {
  if (!rules.allows_any(vocab_size))
    return invalid(
        "[tokens] got calls that together allow no token at an index, expected at least one");
  for (const sample::LogitRules::Penalty& one : rules.penalties) {
    if (one.divisor > 0 && std::isfinite(one.divisor) && std::isfinite(one.subtrahend)) continue;
    return invalid(fmt::format(
        "[penalty] got penalties of token {} that together divide by {} and take {}, expected "
        "finite numbers, the first above 0",
        one.token, one.divisor, one.subtrahend));
  }
  for (const auto& [token, value] : rules.bias) {
    if (!std::isfinite(value))
      return invalid(
          fmt::format("[values] got biases of token {} that add up to {}, expected a "
                      "finite number",
                      token, value));
  }
  return {};
}

}  // namespace

Result<PassRules::ChargedRef> PassRules::changed(const ChargedRef& from, size_t items,
                                                 uint32_t vocab_size, const Change& change) const {
  auto made = std::make_shared<ChargedRules>(ChargedRules{{}, Charge(memory_)});
  const uint64_t before = from == nullptr ? 0 : bytes_of(from->rules);
  PIE_TRY(made->charge.try_add(before + items * sizeof(sample::LogitRules::Penalty) +
                               sizeof(sample::LogitRules)));
  if (from != nullptr) made->rules = from->rules;
  change(made->rules);
  PIE_TRY(check(made->rules, vocab_size));
  return made;
}

Result<void> PassRules::change(std::span<const uint32_t> indices, size_t items, uint32_t vocab_size,
                               const Change& change) {
  std::map<ChargedRef, ChargedRef> made;  // one for each that several indices share
  std::vector<ChargedRef> of_index;
  of_index.reserve(indices.size());
  for (const uint32_t index : indices) {
    const auto found = by_index_.find(index);
    const ChargedRef from = found == by_index_.end() ? nullptr : found->second;
    ChargedRef& to = made[from];
    if (to == nullptr) {
      PIE_TRY_ASSIGN(to, changed(from, items, vocab_size, change));
    }
    if (from == nullptr) PIE_TRY(to->charge.try_add(kIndexBytes));
    of_index.push_back(to);
  }
  for (size_t i = 0; i < indices.size(); ++i) by_index_[indices[i]] = of_index[i];
  return {};
}

std::vector<engine::RowRules> PassRules::take() {
  std::vector<engine::RowRules> all;
  all.reserve(by_index_.size());
  for (const auto& [index, charged] : by_index_)
    all.push_back({index, std::shared_ptr<const sample::LogitRules>(charged, &charged->rules)});
  by_index_.clear();
  return all;
}

}  // namespace pie::host
