#include "host/logit_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "host/token_set.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

using Indices = std::vector<uint32_t>;
using Answered = wasm::WitResult<void, std::string>;
using sample::LogitRules;

constexpr const char* kLogits = "pie:logits/logits";
constexpr uint32_t kWordBits = 32;

struct Penalising {
  float repetition = 1, presence = 0, frequency = 0;
};
constexpr auto wit_type(const Penalising*) {
  return wasm::record(wasm::field("repetition", &Penalising::repetition),
                      wasm::field("presence", &Penalising::presence),
                      wasm::field("frequency", &Penalising::frequency));
}

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

// ---- which tokens may be drawn

/// The words of a mask over the vocabulary; of a token set, those within it.
std::vector<uint32_t> words_of(const PassObject& pass, const std::vector<uint32_t>& tokens) {
  std::vector<uint32_t> words((pass.vocab_size() + kWordBits - 1) / kWordBits);
  for (const uint32_t token : tokens) words[token / kWordBits] |= 1U << (token % kWordBits);
  return words;
}
std::vector<uint32_t> words_of(const PassObject& pass, const TokenSetObject& set) {
  std::vector<uint32_t> words((pass.vocab_size() + kWordBits - 1) / kWordBits);
  std::copy_n(set.words.begin(), std::min(words.size(), set.words.size()), words.begin());
  return words;
}

enum class SetUse { kAllow, kForbid };

Result<void> restrict_to(PassObject& pass, const Indices& indices,
                         const std::vector<uint32_t>& words, SetUse use) {
  return pass.rules.change(indices, words.size(), pass.vocab_size(), [&](LogitRules& rules) {
    if (rules.allowed.empty()) rules.allowed.assign(words.size(), ~0U);
    for (size_t i = 0; i < words.size(); ++i)
      rules.allowed[i] &= use == SetUse::kAllow ? words[i] : ~words[i];
  });
}

template <SetUse kUse>
Answered use_tokens(PassObject& pass, const Indices& indices, const std::vector<uint32_t>& tokens) {
  if (auto checked = check_tokens(pass, tokens); !checked.ok()) return checked;
  return restrict_to(pass, indices, words_of(pass, tokens), kUse);
}

template <SetUse kUse>
Answered use_set(PassObject& pass, const Indices& indices, TokenSetObject& set) {
  return restrict_to(pass, indices, words_of(pass, set), kUse);
}

// ---- bias and penalties

using Biases = std::vector<std::pair<TokenId, float>>;

/// Adds biases, ascending by token, to those that are there.
void add_biases(const Biases& more, Biases& biases) {
  if (biases.empty()) {
    biases = more;
    return;
  }
  Biases sum;
  sum.reserve(biases.size() + more.size());
  auto next = more.begin();
  for (const auto& one : biases) {
    while (next != more.end() && next->first < one.first) sum.push_back(*next++);
    sum.push_back(one);
    if (next != more.end() && next->first == one.first) sum.back().second += next++->second;
  }
  sum.insert(sum.end(), next, more.end());
  biases = std::move(sum);
}

Answered change_bias(PassObject& pass, const Indices& indices, const Biases& more) {
  return pass.rules.change(indices, more.size(), pass.vocab_size(),
                           [&](LogitRules& rules) { add_biases(more, rules.bias); });
}

Answered bias(PassObject& pass, const Indices& indices, const std::vector<uint32_t>& tokens,
              const std::vector<float>& values) {
  if (tokens.size() != values.size())
    return Result<void>(invalid(fmt::format(
        "[values] got {} for {} tokens, expected as many of both", values.size(), tokens.size())));
  if (auto checked = check_tokens(pass, tokens); !checked.ok()) return checked;
  Biases all;
  all.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) all.emplace_back(tokens[i], values[i]);
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Biases sums;
  for (const auto& [token, value] : all) {
    if (sums.empty() || sums.back().first != token) sums.emplace_back(token, 0.0F);
    sums.back().second += value;
  }
  return change_bias(pass, indices, sums);
}

Answered bias_set(PassObject& pass, const Indices& indices, TokenSetObject& set, float value) {
  const std::vector<uint32_t> words = words_of(pass, set);
  size_t count = 0;
  for (const uint32_t word : words) count += static_cast<size_t>(std::popcount(word));
  Biases more;
  more.reserve(count);
  for (uint32_t w = 0; w < words.size(); ++w) {
    for (uint32_t rest = words[w]; rest != 0; rest &= rest - 1) {
      const uint32_t token = w * kWordBits + static_cast<uint32_t>(std::countr_zero(rest));
      if (token < pass.vocab_size()) more.emplace_back(token, value);
    }
  }
  return change_bias(pass, indices, more);
}

/// Puts penalties, ascending by token, on top of those that are there.
void add_penalties(const std::vector<LogitRules::Penalty>& more,
                   std::vector<LogitRules::Penalty>& penalties) {
  std::vector<LogitRules::Penalty> all;
  all.reserve(penalties.size() + more.size());
  auto next = more.begin();
  for (const LogitRules::Penalty& one : penalties) {
    while (next != more.end() && next->token < one.token) all.push_back(*next++);
    all.push_back(one);
    if (next == more.end() || next->token != one.token) continue;
    all.back().divisor *= next->divisor;
    all.back().subtrahend += next++->subtrahend;
  }
  all.insert(all.end(), next, more.end());
  penalties = std::move(all);
}

Answered penalize(PassObject& pass, const Indices& indices, std::vector<uint32_t> tokens,
                  const Penalising& by) {
  if (auto checked = check_tokens(pass, tokens); !checked.ok()) return checked;
  if (!(std::isfinite(by.repetition) && by.repetition > 0))
    return Result<void>(invalid(
        fmt::format("[repetition] got {}, expected a finite number above 0", by.repetition)));
  std::sort(tokens.begin(), tokens.end());
  std::vector<LogitRules::Penalty> more;
  for (size_t i = 0; i < tokens.size();) {
    size_t end = i;
    while (end < tokens.size() && tokens[end] == tokens[i]) ++end;
    const float taken = by.presence + by.frequency * static_cast<float>(end - i);
    more.push_back({.token = tokens[i], .divisor = by.repetition, .subtrahend = taken});
    i = end;
  }
  return pass.rules.change(indices, more.size(), pass.vocab_size(),
                           [&](LogitRules& rules) { add_penalties(more, rules.penalties); });
}

}  // namespace

Result<void> check_tokens(const PassObject& pass, const std::vector<uint32_t>& tokens) {
  for (const uint32_t token : tokens) {
    if (token < pass.vocab_size()) continue;
    return invalid(
        fmt::format("[tokens] got token id {}, expected < {}", token, pass.vocab_size()));
  }
  return {};
}

void define_logit_rules(wasm::HostFunctions& functions) {
  functions.resource(TokenSetObject::kResource);
  functions.add(kLogits, "[constructor]token-set",
                [](InstanceState& state, const std::vector<uint8_t>& bits) {
                  return std::make_shared<TokenSetObject>(bits, state.memory);
                });
  functions.add(kLogits, "allow", use_tokens<SetUse::kAllow>);
  functions.add(kLogits, "forbid", use_tokens<SetUse::kForbid>);
  functions.add(kLogits, "allow-set", use_set<SetUse::kAllow>);
  functions.add(kLogits, "forbid-set", use_set<SetUse::kForbid>);
  functions.add(kLogits, "bias", bias);
  functions.add(kLogits, "bias-set", bias_set);
  functions.add(kLogits, "penalize", penalize);
}

}  // namespace pie::host
