#include "pie/generation.h"

#include <cstdlib>

#include "pie/lift.h"

namespace inferlet {
namespace {

template <class T>
abi::Slice<const T> lend(const std::vector<T>& in) {
  return {in.data(), static_cast<uint32_t>(in.size())};
}

/// A sampling as the host takes it; refers to `from`.
struct LoweredSampling {
  explicit LoweredSampling(const GenerationSampling& from) {
    out = {.temperature = from.temperature,
           .top_k = from.top_k,
           .top_p = from.top_p,
           .min_p = from.min_p,
           .typical_p = from.typical_p,
           .xtc_probability = from.xtc_probability,
           .xtc_threshold = from.xtc_threshold};
    if (const auto& one = from.penalties)
      out.penalties = {1,
                       {one->repetition, one->window, one->presence, one->frequency,
                        static_cast<uint8_t>(one->counted)}};
    if (const auto& one = from.dry)
      out.dry = {
          1, {one->multiplier, one->base, one->allowed_length, one->window, lend(one->breakers)}};
    if (const auto& one = from.mirostat) {
      out.mirostat = {1, {one->target, one->rate, {}}};
      if (one->surprise_max) out.mirostat.value.surprise_max = {1, *one->surprise_max};
    }
    for (const auto& [token, value] : from.bias) bias.push_back({token, value});
    out.bias = lend(bias);
    if (from.seed) out.seed = {1, *from.seed};
  }
  std::vector<abi::TokenBias> bias;
  abi::Sampling out{};
};

abi::Attention lowered_attention(const GenerationRequest& request) {
  abi::Attention out{};
  if (request.window) {
    out.which = abi::Attention::kWindow;
    out.of.window = {request.window->sink, request.window->length};
  } else if (request.attention_runs) {
    out.which = abi::Attention::kRuns;
    out.of.runs = lend(*request.attention_runs);
  }
  return out;
}

/// A request as the host takes it; refers to `from`.
struct LoweredRequest {
  explicit LoweredRequest(const GenerationRequest& from) : sampling(from.sampling) {
    for (const auto& one : from.drafting.sources) sources.push_back(lend(one));
    for (const std::string& one : from.stop_texts) stop_texts.push_back(lift::lend(one));
    out = {.pages = lend(from.pages),
           .context_length = from.context_length,
           .context = lend(from.context),
           .pending = lend(from.pending),
           .position = from.position,
           .attention = lowered_attention(from),
           .sampling = sampling.out,
           .drafting = {from.drafting.tokens_max, from.drafting.match_min, lend(sources)},
           .stop_tokens = lend(from.stop_tokens),
           .stop_texts = lend(stop_texts),
           .tokens_max = from.tokens_max,
           .log_probabilities = static_cast<uint8_t>(from.log_probabilities ? 1 : 0),
           .ranked = from.ranked,
           .wake_tokens = from.wake_tokens};
  }
  const LoweredSampling sampling;
  std::vector<abi::Slice<const uint32_t>> sources;
  std::vector<abi::Text> stop_texts;
  abi::GenerationRequest out{};
};

}  // namespace

Result<Generation> Generation::started(const abi::GenerationStarted& out) {
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  return Generation(out.of.generation);
}

Result<Generation> Generation::start_under(const Queue& queue, const GenerationRequest& request,
                                           const Matcher* matcher) {
  const LoweredRequest lowered(request);
  abi::AdaptedStart in{.queue = queue.handle(),
                       .request = lowered.out,
                       .adapter = {.pointer = request.adapter->pointer(), .seed = {}},
                       .matcher = {}};
  if (request.adapter_seed) in.adapter.seed = {1, *request.adapter_seed};
  if (matcher != nullptr) in.matcher = {1, matcher->handle()};
  abi::GenerationStarted out;
  abi::generation_start_under(&in, &out);
  return started(out);
}

Result<Generation> Generation::start(const Queue& queue, const GenerationRequest& request) {
  if (request.adapter) return start_under(queue, request, nullptr);
  const LoweredRequest lowered(request);
  const abi::GenerationStart in{.queue = queue.handle(), .request = lowered.out};
  abi::GenerationStarted out;
  abi::generation_start(&in, &out);
  return started(out);
}

Result<Generation> Generation::start(const Queue& queue, const GenerationRequest& request,
                                     const Matcher& matcher) {
  if (request.adapter) return start_under(queue, request, &matcher);
  const LoweredRequest lowered(request);
  const abi::ConstrainedStart in{
      .queue = queue.handle(), .request = lowered.out, .matcher = matcher.handle()};
  abi::GenerationStarted out;
  abi::generation_start_constrained(&in, &out);
  return started(out);
}

Pollable Generation::pollable() const { return Pollable(abi::generation_pollable(handle_.get())); }

GenerationPiece Generation::read() {
  abi::GenerationPiece out;
  abi::generation_read(handle_.get(), &out);
  GenerationPiece piece{.text = lift::text(out.text),
                        .tokens = lift::numbers(out.tokens),
                        .log_probabilities = lift::numbers(out.log_probabilities),
                        .ranked = {},
                        .surprise_max = lift::numbers(out.surprise_max)};
  for (uint32_t i = 0; i < out.ranked.size; ++i) {
    const abi::Distribution& one = out.ranked.data[i];
    piece.ranked.push_back({lift::numbers(one.ids), lift::numbers(one.probabilities)});
  }
  if (out.ranked.size != 0) std::free(out.ranked.data);
  return piece;
}

std::optional<GenerationEnd> Generation::end() const {
  abi::Option<abi::GenerationEnd> out;
  abi::generation_end(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  return GenerationEnd{.reason = static_cast<GenerationEnd::Reason>(out.value.reason),
                       .message = lift::text(out.value.message),
                       .tokens = out.value.tokens,
                       .context_length = out.value.context_length,
                       .passes = out.value.passes,
                       .drafted = out.value.drafted,
                       .accepted = out.value.accepted};
}

std::optional<GenerationPiece> Generation::next() {
  for (;;) {
    const bool is_over = end().has_value();
    GenerationPiece piece = read();
    if (!piece.tokens.empty() || !piece.text.empty()) return piece;
    if (is_over) return std::nullopt;
    pollable().block();
  }
}

Result<void> Generation::suggest(uint32_t generated, std::span<const uint32_t> tokens) {
  abi::TextResult out;
  abi::generation_suggest(handle_.get(), generated, tokens.data(),
                          static_cast<uint32_t>(tokens.size()), &out);
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

}  // namespace inferlet
