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

using wasm::Call;
using wasm::Value;

constexpr const char* kForward = "inferlet:core/forward";
constexpr const char* kPassResource = "inferlet:core/forward/forward-pass";
constexpr const char* kResultResource = "inferlet:core/forward/forward-pass-result";
constexpr uint32_t kDefaultTopK = 32;
/// Tokens and distributions of one pass: so many for each input token, and so many more.
constexpr uint64_t kOutputsPerInput = 4, kOutputsSpare = 1'024, kOutputsMax = 262'144;
/// Tokens of all distributions of one pass: 64 MiB of ids and probabilities.
constexpr uint64_t kRankedMax = 8ULL << 20;
/// What a pass takes here and in the engine beside its lists.
constexpr uint64_t kPassBytes = 1024;

/// `forward-pass`: what was filled in since the last execute.
struct PassObject final : wasm::Object {
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

void create_forward_pass(Call& call) {
  auto queue = call.object<QueueObject>(0);
  call.ret(Value::handle(kPassResource,
                         std::make_shared<PassObject>(std::move(queue), state_of(call).memory)));
}

void attention_mask(Call& call) {
  auto self = call.object<PassObject>(0);
  std::vector<std::vector<uint32_t>> rows = call.u32_lists(1);
  uint64_t bytes = rows.size() * sizeof(rows[0]);
  for (const auto& row : rows) bytes += row.size() * sizeof(uint32_t);
  self->charge.add(bytes);
  self->pass.mask = std::move(rows);
}

void kv_cache(Call& call) {
  auto self = call.object<PassObject>(0);
  std::vector<uint32_t> pointers = call.u32s(1);
  self->charge.add(pointers.size() * sizeof(uint32_t));
  self->pass.pages.clear();
  self->pass.pages.reserve(pointers.size());
  for (uint32_t pointer : pointers) self->pass.pages.emplace_back(pointer);
  self->pass.last_page_len = call.u32(2);
}

void input_tokens(Call& call) {
  auto self = call.object<PassObject>(0);
  std::vector<uint32_t> tokens = call.u32s(1), positions = call.u32s(2);
  check_lengths("positions", positions.size(), "tokens", tokens.size());
  self->charge.add(tokens.size() * sizeof(engine::PassInput));
  for (size_t i = 0; i < tokens.size(); ++i)
    self->pass.inputs.push_back({.token = tokens[i], .position = positions[i]});
}

void input_embeddings(Call& call) {
  auto self = call.object<PassObject>(0);
  std::vector<uint32_t> slots = call.u32s(1), positions = call.u32s(2);
  check_lengths("positions", positions.size(), "emb-ptrs", slots.size());
  self->charge.add(slots.size() * sizeof(engine::PassInput));
  for (size_t i = 0; i < slots.size(); ++i)
    self->pass.inputs.push_back({.embedding_slot = slots[i], .position = positions[i]});
}

void output_embeddings(Call& call) {
  auto self = call.object<PassObject>(0);
  std::vector<uint32_t> slots = call.u32s(1), indices = call.u32s(2);
  check_lengths("indices", indices.size(), "emb-ptrs", slots.size());
  self->charge.add(slots.size() * sizeof(engine::EmbeddingOutput));
  for (size_t i = 0; i < slots.size(); ++i)
    self->pass.embeddings.push_back({.index = indices[i], .slot = slots[i]});
}

float temperature_of(const Call& call, size_t i) {
  float temperature = call.f32(i);
  if (!std::isfinite(temperature) || temperature < 0)
    throw wasm::GuestError(
        fmt::format("[temperature] got {}, expected a number from 0", temperature));
  return temperature;
}

/// A probability bound of a sampler.
float fraction_of(const Call& call, size_t i, const char* name) {
  float fraction = call.f32(i);
  if (!(fraction >= 0 && fraction <= 1))
    throw wasm::GuestError(fmt::format("[{}] got {}, expected 0 to 1", name, fraction));
  return fraction;
}

void output_distributions(Call& call) {
  auto self = call.object<PassObject>(0);
  std::vector<uint32_t> indices = call.u32s(1);
  float temperature = temperature_of(call, 2);
  const uint32_t vocab_size = self->queue->service.info().vocab_size;
  uint32_t top_k = std::min(call.optional_u32(3).value_or(kDefaultTopK), vocab_size);
  if (top_k == 0) top_k = vocab_size;  // as in samplers: all
  self->charge.add(indices.size() * sizeof(engine::DistributionSlot));
  for (uint32_t index : indices)
    self->pass.distributions.push_back(
        {.index = index, .temperature = temperature, .top_k = top_k});
}

/// Appends a token slot per index (argument 1). `params` has everything but the temperature
/// (argument 2).
void output_tokens(Call& call, sample::SamplerParams params) {
  auto self = call.object<PassObject>(0);
  std::vector<uint32_t> indices = call.u32s(1);
  params.temperature = temperature_of(call, 2);
  self->charge.add(indices.size() * sizeof(engine::TokenSlot));
  for (uint32_t index : indices) self->pass.tokens.push_back({.index = index, .sampler = params});
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
void execute(Call& call) {
  auto self = call.object<PassObject>(0);
  InstanceState& state = state_of(call);
  check_outputs(self->pass);
  engine::ForwardPass pass = std::exchange(self->pass, {});
  auto result = std::make_shared<PassResult>(std::move(self->charge), state.memory);
  self->charge.add(kPassBytes);
  note_context(state, self->queue->service, pass);
  const bool has_output = !pass.tokens.empty() || !pass.distributions.empty();
  result->reserve_output(pass);
  value_or_throw(self->queue->engine().submit(
      self->queue->id, std::move(pass),
      [result, ending = state.ending](Result<engine::ForwardOutput> output) {
        if (output.ok())
          result->complete(std::move(*output));
        else
          ending->fail(output.error());
      }));
  call.ret(has_output ? Value::some(Value::handle(kResultResource, std::move(result)))
                      : Value::none());
}

void get_tokens(Call& call) {
  auto self = call.object<PassResult>(0);
  call.ret(self->ready() ? Value::some(Value::u32s(self->take_tokens())) : Value::none());
}

void get_distributions(Call& call) {
  auto self = call.object<PassResult>(0);
  if (!self->ready()) return call.ret(Value::none());
  std::vector<Value> items;
  for (engine::Distribution& one : self->take_distributions())
    items.push_back(
        Value::tuple({Value::u32s(std::move(one.ids)), Value::f32s(std::move(one.probabilities))}));
  call.ret(Value::some(Value::list(std::move(items))));
}

void define_token_outputs(wasm::Registry& registry) {
  registry.function(kForward, "output-tokens", [](Call& call) { output_tokens(call, {}); });
  registry.function(kForward, "output-tokens-top-k",
                    [](Call& call) { output_tokens(call, {.top_k = call.u32(3)}); });
  registry.function(kForward, "output-tokens-top-p", [](Call& call) {
    output_tokens(call, {.top_p = fraction_of(call, 3, "top-p")});
  });
  registry.function(kForward, "output-tokens-min-p", [](Call& call) {
    output_tokens(call, {.min_p = fraction_of(call, 3, "min-p")});
  });
  registry.function(kForward, "output-tokens-top-k-top-p", [](Call& call) {
    output_tokens(call, {.top_k = call.u32(3), .top_p = fraction_of(call, 4, "top-p")});
  });
}

}  // namespace

void define_forward(wasm::Registry& registry) {
  registry.resource(kForward, "forward-pass");
  registry.function(kForward, "create-forward-pass", create_forward_pass);
  registry.function(kForward, "attention-mask", attention_mask);
  registry.function(kForward, "kv-cache", kv_cache);
  registry.function(kForward, "input-tokens", input_tokens);
  registry.function(kForward, "input-embeddings", input_embeddings);
  registry.function(kForward, "output-embeddings", output_embeddings);
  registry.function(kForward, "output-distributions", output_distributions);
  define_token_outputs(registry);
  registry.function(kForward, "[method]forward-pass.execute", execute);

  registry.resource(kForward, "forward-pass-result");
  registry.function(kForward, "[method]forward-pass-result.pollable",
                    [](Call& call) { call.ret(wasm::make_pollable(call.object<PassResult>(0))); });
  registry.function(kForward, "[method]forward-pass-result.get-tokens", get_tokens);
  registry.function(kForward, "[method]forward-pass-result.get-distributions", get_distributions);
}

}  // namespace pie::host
