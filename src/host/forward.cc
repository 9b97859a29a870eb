#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/pass_object.h"

namespace pie::host {
namespace {

using Indices = std::vector<uint32_t>;

constexpr const char* kForward = "inferlet:core/forward";
constexpr uint32_t kDefaultTopK = 32;
void check_lengths(const char* one, size_t count, const char* other, size_t other_count) {
  if (count != other_count)
    throw wasm::GuestError(fmt::format("[{}] got {} for {} {}, expected as many of both", one,
                                       count, other_count, other));
}

std::shared_ptr<PassObject> create_forward_pass(InstanceState& state,
                                                std::shared_ptr<QueueObject> queue) {
  return std::make_shared<PassObject>(std::move(queue), state.memory);
}

void attention_mask(PassObject& self, std::vector<std::vector<uint32_t>> rows) {
  uint64_t bytes = rows.size() * sizeof(rows[0]);
  for (const auto& row : rows) bytes += row.size() * sizeof(uint32_t);
  self.charge.add(bytes);
  self.pass.mask = std::move(rows);
}

void kv_cache(PassObject& self, const std::vector<uint32_t>& pointers, uint32_t last_page_len) {
  self.charge.add(pointers.size() * sizeof(uint32_t));
  self.pass.pages.clear();
  self.pass.pages.reserve(pointers.size());
  for (uint32_t pointer : pointers) self.pass.pages.emplace_back(pointer);
  self.pass.last_page_len = last_page_len;
}

void input_tokens(PassObject& self, const std::vector<uint32_t>& tokens,
                  const std::vector<uint32_t>& positions) {
  check_lengths("positions", positions.size(), "tokens", tokens.size());
  self.charge.add(tokens.size() * sizeof(engine::PassInput));
  for (size_t i = 0; i < tokens.size(); ++i)
    self.pass.inputs.push_back({.token = tokens[i], .position = positions[i]});
}

void input_embeddings(PassObject& self, const std::vector<uint32_t>& slots,
                      const std::vector<uint32_t>& positions) {
  check_lengths("positions", positions.size(), "emb-ptrs", slots.size());
  self.charge.add(slots.size() * sizeof(engine::PassInput));
  for (size_t i = 0; i < slots.size(); ++i)
    self.pass.inputs.push_back({.embedding_slot = slots[i], .position = positions[i]});
}

void output_embeddings(PassObject& self, const std::vector<uint32_t>& slots,
                       const Indices& indices) {
  check_lengths("indices", indices.size(), "emb-ptrs", slots.size());
  self.charge.add(slots.size() * sizeof(engine::EmbeddingOutput));
  for (size_t i = 0; i < slots.size(); ++i)
    self.pass.embeddings.push_back({.index = indices[i], .slot = slots[i]});
}

void check_temperature(float temperature) {
  if (!std::isfinite(temperature) || temperature < 0)
    throw wasm::GuestError(
        fmt::format("[temperature] got {}, expected a number from 0", temperature));
}

/// A probability bound of a sampler.
void check_fraction(const char* name, float fraction) {
  if (!(fraction >= 0 && fraction <= 1))
    throw wasm::GuestError(fmt::format("[{}] got {}, expected 0 to 1", name, fraction));
}

void output_distributions(PassObject& self, const Indices& indices, float temperature,
                          std::optional<uint32_t> asked_top_k) {
  check_temperature(temperature);
  const uint32_t vocab_size = self.vocab_size();
  uint32_t top_k = std::min(asked_top_k.value_or(kDefaultTopK), vocab_size);
  if (top_k == 0) top_k = vocab_size;  // as in samplers: all
  self.charge.add(indices.size() * sizeof(engine::DistributionSlot));
  for (uint32_t index : indices)
    self.pass.distributions.push_back({.index = index, .temperature = temperature, .top_k = top_k});
}

/// Appends a token slot per index.
void add_tokens(PassObject& self, const Indices& indices, const sample::SamplerParams& params) {
  check_temperature(params.temperature);
  self.charge.add(indices.size() * sizeof(engine::TokenSlot));
  for (uint32_t index : indices) self.pass.tokens.push_back({.index = index, .sampler = params});
}

void output_tokens(PassObject& self, const Indices& indices, float temperature) {
  add_tokens(self, indices, {.temperature = temperature});
}

void output_tokens_top_k(PassObject& self, const Indices& indices, float temperature,
                         uint32_t top_k) {
  add_tokens(self, indices, {.temperature = temperature, .top_k = top_k});
}

void output_tokens_top_p(PassObject& self, const Indices& indices, float temperature, float top_p) {
  check_fraction("top-p", top_p);
  add_tokens(self, indices, {.temperature = temperature, .top_p = top_p});
}

void output_tokens_min_p(PassObject& self, const Indices& indices, float temperature, float min_p) {
  check_fraction("min-p", min_p);
  add_tokens(self, indices, {.temperature = temperature, .min_p = min_p});
}

void output_tokens_top_k_top_p(PassObject& self, const Indices& indices, float temperature,
                               uint32_t top_k, float top_p) {
  check_fraction("top-p", top_p);
  add_tokens(self, indices, {.temperature = temperature, .top_k = top_k, .top_p = top_p});
}

std::optional<std::shared_ptr<PassResult>> execute(InstanceState& state, PassObject& self) {
  return value_or_throw(hand_over(state, self));
}

std::optional<std::vector<TokenId>> get_tokens(PassResult& self) {
  if (!self.ready()) return std::nullopt;
  return self.take_tokens();
}

using Ranking = std::tuple<std::vector<TokenId>, std::vector<float>>;

std::optional<std::vector<Ranking>> get_distributions(PassResult& self) {
  if (!self.ready()) return std::nullopt;
  std::vector<Ranking> rankings;
  for (engine::Distribution& one : self.take_distributions())
    rankings.emplace_back(std::move(one.ids), std::move(one.probabilities));
  return rankings;
}

}  // namespace

void define_forward(wasm::HostFunctions& functions) {
  functions.resource(PassObject::kResource);
  functions.add(kForward, "create-forward-pass", create_forward_pass);
  functions.add(kForward, "attention-mask", attention_mask);
  functions.add(kForward, "kv-cache", kv_cache);
  functions.add(kForward, "input-tokens", input_tokens);
  functions.add(kForward, "input-embeddings", input_embeddings);
  functions.add(kForward, "output-embeddings", output_embeddings);
  functions.add(kForward, "output-distributions", output_distributions);
  functions.add(kForward, "output-tokens", output_tokens);
  functions.add(kForward, "output-tokens-top-k", output_tokens_top_k);
  functions.add(kForward, "output-tokens-top-p", output_tokens_top_p);
  functions.add(kForward, "output-tokens-min-p", output_tokens_min_p);
  functions.add(kForward, "output-tokens-top-k-top-p", output_tokens_top_k_top_p);
  functions.add(kForward, "[method]forward-pass.execute", execute);

  functions.resource(PassResult::kResource);
  functions.add(kForward, "[method]forward-pass-result.pollable",
                [](std::shared_ptr<PassResult> self) -> wasm::ReadinessRef { return self; });
  functions.add(kForward, "[method]forward-pass-result.get-tokens", get_tokens);
  functions.add(kForward, "[method]forward-pass-result.get-distributions", get_distributions);
}

}  // namespace pie::host
