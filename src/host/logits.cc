#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/define.h"
#include "host/logit_rules.h"
#include "host/pass_object.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

using Indices = std::vector<uint32_t>;
using Answered = wasm::WitResult<void, std::string>;

constexpr const char* kLogits = "pie:logits/logits";

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
  define_logit_rules(functions);
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
