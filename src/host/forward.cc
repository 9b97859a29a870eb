#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "host/pass_result.h"

namespace pie::host {
namespace {

using Indices = std::vector<uint32_t>;

constexpr const char* kForward = "inferlet:core/forward";
constexpr uint32_t kDefaultTopK = 32;
/// Tokens and distributions of one pass: so many for each input token, and so many more.
constexpr uint64_t kOutputsPerInput = 4, kOutputsSpare = 1'024, kOutputsMax = 262'144;
/// Tokens of all distributions of one pass: 64 MiB of ids and probabilities.
constexpr uint64_t kRankedMax = 8ULL << 20;
/// What a pass takes here and in the engine beside its lists.
constexpr uint64_t kPassBytes = 1024;

/// `forward-pass`: what was filled in since the last execute.
struct PassObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/forward/forward-pass";

  PassObject(std::shared_ptr<QueueObject> queue_, const std::shared_ptr<HostMemory>& memory)
      : queue(std::move(queue_)), charge(memory) {
    charge.add(kPassBytes);
  }
  const std::shared_ptr<QueueObject> queue;
  engine::ForwardPass pass;
  Charge charge;
};

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
  const uint32_t vocab_size = self.queue->service.info().vocab_size;
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

/// Says once for each instance that it goes beyond what the model was trained for.
void note_context(InstanceState& state, const ModelService& service,
                  const engine::ForwardPass& pass) {
  const uint64_t page_size = service.engine().page_size();
  const uint64_t length = pass.pages.empty()
                              ? pass.inputs.size()
                              : (pass.pages.size() - 1) * page_size + pass.last_page_len;
  if (length <= service.info().context_length || state.has_noted_context) return;
  state.has_noted_context = true;
  log::warning("instance {}: a context of {} tokens is longer than the {} that {} was trained for",
               state.public_id, length, service.info().context_length, service.info().id);
}

/// What one pass may ask for: the engine draws it in one go, and a call hands it over in one go.
void check_outputs(const engine::ForwardPass& pass) {
  const uint64_t outputs = pass.tokens.size() + pass.distributions.size();
  const uint64_t outputs_max =
      std::min(kOutputsSpare + kOutputsPerInput * pass.inputs.size(), kOutputsMax);
  if (outputs > outputs_max)
    throw wasm::GuestError(
        fmt::format("[outputs] got {} tokens and distributions of {} input tokens, expected at "
                    "most {}; use several passes",
                    outputs, pass.inputs.size(), outputs_max));
  uint64_t ranked = 0;
  for (const engine::DistributionSlot& slot : pass.distributions) ranked += slot.top_k;
  if (ranked > kRankedMax)
    throw wasm::GuestError(
        fmt::format("[top-k] got distributions of {} tokens together, expected at most {}; use "
                    "several passes or a smaller top-k",
                    ranked, kRankedMax));
}

/// Hands the pass to the engine and leaves the object empty, ready to be filled again.
std::optional<std::shared_ptr<PassResult>> execute(InstanceState& state, PassObject& self) {
  check_outputs(self.pass);
  engine::ForwardPass pass = std::exchange(self.pass, {});
  auto result = std::make_shared<PassResult>(std::move(self.charge), state.memory);
  self.charge.add(kPassBytes);
  note_context(state, self.queue->service, pass);
  const bool has_output = !pass.tokens.empty() || !pass.distributions.empty();
  result->reserve_output(pass);
  value_or_throw(self.queue->engine().submit(
      self.queue->id, std::move(pass),
      [result, ending = state.ending](Result<engine::ForwardOutput> output) {
        if (output.ok())
          result->complete(std::move(*output));
        else
          ending->fail(output.error());
      }));
  if (!has_output) return std::nullopt;
  return result;
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
