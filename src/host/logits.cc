#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "host/define.h"
#include "host/pass_object.h"
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

struct SeededSlots {
  uint64_t seed = 0, position = 0;
};
constexpr auto wit_type(const SeededSlots*) {
  return wasm::record(wasm::field("seed", &SeededSlots::seed),
                      wasm::field("position", &SeededSlots::position));
}

struct Sampling {
  float temperature = 0;
  uint32_t top_k = 0;
  float top_p = 1, min_p = 0, typical_p = 1;
  float xtc_probability = 0, xtc_threshold = 0, surprise_max = 0;
  std::optional<SeededSlots> draw;
  bool details = false;
};
constexpr auto wit_type(const Sampling*) {
  return wasm::record(
      wasm::field("temperature", &Sampling::temperature), wasm::field("top-k", &Sampling::top_k),
      wasm::field("top-p", &Sampling::top_p), wasm::field("min-p", &Sampling::min_p),
      wasm::field("typical-p", &Sampling::typical_p),
      wasm::field("xtc-probability", &Sampling::xtc_probability),
      wasm::field("xtc-threshold", &Sampling::xtc_threshold),
      wasm::field("surprise-max", &Sampling::surprise_max), wasm::field("draw", &Sampling::draw),
      wasm::field("details", &Sampling::details));
}

struct DetailsOfToken {
  float log_probability = 0, surprise = 0;
};
constexpr auto wit_type(const DetailsOfToken*) {
  return wasm::record(wasm::field("log-probability", &DetailsOfToken::log_probability),
                      wasm::field("surprise", &DetailsOfToken::surprise));
}

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Result<void> check_tokens(const PassObject& pass, const std::vector<uint32_t>& tokens) {
  for (const uint32_t token : tokens) {
    if (token < pass.vocab_size()) continue;
    return invalid(
        fmt::format("[tokens] got token id {}, expected < {}", token, pass.vocab_size()));
  }
  return {};
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
  std::map<TokenId, float> sums;
  for (size_t i = 0; i < tokens.size(); ++i) sums[tokens[i]] += values[i];
  return change_bias(pass, indices, {sums.begin(), sums.end()});
}

Answered bias_set(PassObject& pass, const Indices& indices, TokenSetObject& set, float value) {
  Biases more;
  const std::vector<uint32_t> words = words_of(pass, set);
  for (uint32_t token = 0; token < pass.vocab_size(); ++token) {
    if (((words[token / kWordBits] >> (token % kWordBits)) & 1U) != 0)
      more.emplace_back(token, value);
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

// ---- what is asked for

Result<void> check_fraction(const char* name, float fraction) {
  if (fraction >= 0 && fraction <= 1) return {};
  return invalid(fmt::format("[{}] got {}, expected 0 to 1", name, fraction));
}

Result<void> check_amount(const char* name, float amount) {
  if (std::isfinite(amount) && amount >= 0) return {};
  return invalid(fmt::format("[{}] got {}, expected a number from 0", name, amount));
}

Result<void> check_sampling(const Sampling& how) {
  PIE_TRY(check_amount("temperature", how.temperature));
  PIE_TRY(check_fraction("top-p", how.top_p));
  PIE_TRY(check_fraction("min-p", how.min_p));
  PIE_TRY(check_fraction("typical-p", how.typical_p));
  PIE_TRY(check_fraction("xtc-probability", how.xtc_probability));
  PIE_TRY(check_fraction("xtc-threshold", how.xtc_threshold));
  return check_amount("surprise-max", how.surprise_max);
}

Answered output_tokens(PassObject& self, const Indices& indices, const Sampling& how) {
  if (auto checked = check_sampling(how); !checked.ok()) return checked;
  if (auto added = self.charge.try_add(indices.size() * sizeof(engine::TokenSlot)); !added.ok())
    return added;
  engine::TokenSlot slot{.sampler = {.temperature = how.temperature,
                                     .top_k = how.top_k,
                                     .top_p = how.top_p,
                                     .min_p = how.min_p,
                                     .typical_p = how.typical_p,
                                     .xtc_probability = how.xtc_probability,
                                     .xtc_threshold = how.xtc_threshold,
                                     .surprise_max = how.surprise_max},
                         .wants_details = how.details};
  for (size_t i = 0; i < indices.size(); ++i) {
    slot.index = indices[i];
    if (how.draw) slot.draw = engine::SeededDraw{how.draw->seed, how.draw->position + i};
    self.pass.tokens.push_back(slot);
  }
  return wasm::Ok();
}

Answered output_logits(PassObject& self, const Indices& indices, uint32_t best) {
  if (auto added = self.charge.try_add(indices.size() * sizeof(engine::LogitSlot)); !added.ok())
    return added;
  for (const uint32_t index : indices)
    self.pass.logits.push_back({.index = index, .best = std::min(best, self.vocab_size())});
  return wasm::Ok();
}

Answered output_log_probabilities(PassObject& self, uint32_t index, std::vector<uint32_t> tokens) {
  if (auto checked = check_tokens(self, tokens); !checked.ok()) return checked;
  if (auto added = self.charge.try_add(sizeof(engine::ScoreSlot) + tokens.size() * sizeof(TokenId));
      !added.ok())
    return added;
  self.pass.scores.push_back({.index = index, .tokens = std::move(tokens)});
  return wasm::Ok();
}

Answered output_entropies(PassObject& self, const Indices& indices) {
  if (auto added = self.charge.try_add(indices.size() * sizeof(uint32_t)); !added.ok())
    return added;
  self.pass.entropies.insert(self.pass.entropies.end(), indices.begin(), indices.end());
  return wasm::Ok();
}

wasm::WitResult<std::optional<std::shared_ptr<PassResult>>, std::string> execute(
    InstanceState& state, PassObject& self) {
  return hand_over(state, self);
}

// ---- what came of it

using ScoredTokens = std::tuple<std::vector<TokenId>, std::vector<float>>;

std::optional<std::vector<ScoredTokens>> get_logits(PassResult& self) {
  if (!self.ready()) return std::nullopt;
  std::vector<ScoredTokens> rows;
  for (engine::LogitRow& one : self.take_logits())
    rows.emplace_back(std::move(one.ids), std::move(one.logits));
  return rows;
}

std::optional<std::vector<ScoredTokens>> get_log_probabilities(PassResult& self) {
  if (!self.ready()) return std::nullopt;
  return self.take_scores();
}

std::optional<std::vector<float>> get_entropies(PassResult& self) {
  if (!self.ready()) return std::nullopt;
  return self.take_entropies();
}

std::optional<std::vector<DetailsOfToken>> get_token_details(PassResult& self) {
  if (!self.ready()) return std::nullopt;
  std::vector<DetailsOfToken> all;
  for (const engine::TokenDetails& one : self.take_details())
    all.push_back({one.log_probability, one.surprise});
  return all;
}

}  // namespace

void define_logits(wasm::HostFunctions& functions) {
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
  functions.add(kLogits, "output-tokens", output_tokens);
  functions.add(kLogits, "output-logits", output_logits);
  functions.add(kLogits, "output-log-probabilities", output_log_probabilities);
  functions.add(kLogits, "output-entropies", output_entropies);
  functions.add(kLogits, "execute", execute);
  functions.add(kLogits, "get-logits", get_logits);
  functions.add(kLogits, "get-log-probabilities", get_log_probabilities);
  functions.add(kLogits, "get-entropies", get_entropies);
  functions.add(kLogits, "get-token-details", get_token_details);
}

}  // namespace pie::host
