#include "pie/logits.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "pie/lift.h"

namespace inferlet {
namespace {

Result<void> lifted(const abi::TextResult& out) {
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

template <class Item>
uint32_t count(std::span<const Item> items) {
  return static_cast<uint32_t>(items.size());
}

std::optional<std::vector<ScoredTokens>> lifted(
    const abi::Option<abi::Slice<abi::Distribution>>& out) {
  if (out.has == 0) return std::nullopt;
  std::vector<ScoredTokens> all;
  all.reserve(out.value.size);
  for (uint32_t i = 0; i < out.value.size; ++i) {
    const abi::Distribution& in = out.value.data[i];
    all.push_back({lift::numbers(in.ids), lift::numbers(in.probabilities)});
  }
  if (out.value.size != 0) std::free(out.value.data);
  return all;
}

}  // namespace

TokenSet TokenSet::of(std::span<const uint32_t> tokens) {
  std::vector<uint8_t> bits;
  if (!tokens.empty()) bits.resize(*std::ranges::max_element(tokens) / 8 + 1);
  for (const uint32_t token : tokens) bits[token / 8] |= static_cast<uint8_t>(1U << (token % 8));
  return TokenSet(bits);
}

namespace logits {

Result<void> allow(const ForwardPass& pass, Indices indices, Tokens tokens) {
  abi::TextResult out;
  abi::logits_allow(pass.handle(), indices.data(), count(indices), tokens.data(), count(tokens),
                    &out);
  return lifted(out);
}

Result<void> allow(const ForwardPass& pass, Indices indices, const TokenSet& tokens) {
  abi::TextResult out;
  abi::logits_allow_set(pass.handle(), indices.data(), count(indices), tokens.handle(), &out);
  return lifted(out);
}

Result<void> forbid(const ForwardPass& pass, Indices indices, Tokens tokens) {
  abi::TextResult out;
  abi::logits_forbid(pass.handle(), indices.data(), count(indices), tokens.data(), count(tokens),
                     &out);
  return lifted(out);
}

Result<void> forbid(const ForwardPass& pass, Indices indices, const TokenSet& tokens) {
  abi::TextResult out;
  abi::logits_forbid_set(pass.handle(), indices.data(), count(indices), tokens.handle(), &out);
  return lifted(out);
}

Result<void> bias(const ForwardPass& pass, Indices indices, Tokens tokens,
                  std::span<const float> values) {
  abi::TextResult out;
  abi::logits_bias(pass.handle(), indices.data(), count(indices), tokens.data(), count(tokens),
                   values.data(), count(values), &out);
  return lifted(out);
}

Result<void> bias(const ForwardPass& pass, Indices indices, const TokenSet& tokens, float value) {
  abi::TextResult out;
  abi::logits_bias_set(pass.handle(), indices.data(), count(indices), tokens.handle(), value, &out);
  return lifted(out);
}

Result<void> penalize(const ForwardPass& pass, Indices indices, Tokens tokens, const Penalty& by) {
  abi::TextResult out;
  abi::logits_penalize(pass.handle(), indices.data(), count(indices), tokens.data(), count(tokens),
                       by.repetition, by.presence, by.frequency, &out);
  return lifted(out);
}

Result<void> output_tokens(const ForwardPass& pass, Indices indices, const Sampling& how) {
  const SeededDraw draw = how.draw.value_or(SeededDraw());
  abi::TextResult out;
  abi::logits_output_tokens(pass.handle(), indices.data(), count(indices), how.temperature,
                            how.top_k, how.top_p, how.min_p, how.typical_p, how.xtc_probability,
                            how.xtc_threshold, how.surprise_max, how.draw.has_value() ? 1 : 0,
                            draw.seed, draw.position, how.details ? 1 : 0, &out);
  return lifted(out);
}

Result<void> output_logits(const ForwardPass& pass, Indices indices, uint32_t best) {
  abi::TextResult out;
  abi::logits_output_logits(pass.handle(), indices.data(), count(indices), best, &out);
  return lifted(out);
}

Result<void> output_log_probabilities(const ForwardPass& pass, uint32_t index, Tokens tokens) {
  abi::TextResult out;
  abi::logits_output_log_probabilities(pass.handle(), index, tokens.data(), count(tokens), &out);
  return lifted(out);
}

Result<void> output_entropies(const ForwardPass& pass, Indices indices) {
  abi::TextResult out;
  abi::logits_output_entropies(pass.handle(), indices.data(), count(indices), &out);
  return lifted(out);
}

Result<std::optional<PassResult>> execute(const ForwardPass& pass) {
  abi::ExecuteResult out;
  abi::logits_execute(pass.handle(), &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  if (out.of.result.has == 0) return std::nullopt;
  return PassResult(out.of.result.value);
}

std::optional<std::vector<ScoredTokens>> rows(const PassResult& result) {
  abi::Option<abi::Slice<abi::Distribution>> out;
  abi::logits_get_logits(result.handle(), &out);
  return lifted(out);
}

std::optional<std::vector<ScoredTokens>> log_probabilities(const PassResult& result) {
  abi::Option<abi::Slice<abi::Distribution>> out;
  abi::logits_get_log_probabilities(result.handle(), &out);
  return lifted(out);
}

std::optional<std::vector<float>> entropies(const PassResult& result) {
  abi::Option<abi::Slice<float>> out;
  abi::logits_get_entropies(result.handle(), &out);
  if (out.has == 0) return std::nullopt;
  return lift::numbers(out.value);
}

std::optional<std::vector<TokenDetails>> token_details(const PassResult& result) {
  abi::Option<abi::Slice<abi::TokenDetails>> out;
  abi::logits_get_token_details(result.handle(), &out);
  if (out.has == 0) return std::nullopt;
  std::vector<TokenDetails> all;
  for (const abi::TokenDetails& one : lift::numbers(out.value))
    all.push_back({one.log_probability, one.surprise});
  return all;
}

}  // namespace logits
}  // namespace inferlet
