#include "host/generation_request.h"

#include <algorithm>
#include <random>
#include <utility>

#include "decode/check_request.h"
#include "decode/ngram_index.h"

namespace pie::host {
namespace {

/// Of a token's text, detail and place in lists; and of one that is ranked beside it.
constexpr uint64_t kTokenBytes = 64, kRankedBytes = sizeof(TokenId) + sizeof(float);
constexpr uint64_t kGenerationBytes = 16 << 10;

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

decode::Penalties::Counted counted_of(CountedCase from) {
  using Counted = decode::Penalties::Counted;
  return from == CountedCase::kWindow ? Counted::kWindow : Counted::kGenerated;
}

decode::TokenChoice choice_of(const GuestSampling& from) {
  decode::TokenChoice sampling;
  sampling.params = {.temperature = from.temperature,
                     .top_k = from.top_k,
                     .top_p = from.top_p,
                     .min_p = from.min_p,
                     .typical_p = from.typical_p,
                     .xtc_probability = from.xtc_probability,
                     .xtc_threshold = from.xtc_threshold};
  if (from.penalties)
    sampling.penalties = {from.penalties->repetition, from.penalties->window,
                          from.penalties->presence, from.penalties->frequency,
                          counted_of(from.penalties->counted)};
  if (from.dry)
    sampling.dry = {from.dry->multiplier, from.dry->base, from.dry->allowed_length,
                    from.dry->window, from.dry->breakers};
  if (from.mirostat)
    sampling.mirostat = {from.mirostat->target, from.mirostat->rate, from.mirostat->surprise_max};
  for (const auto& [token, bias] : from.bias) sampling.bias.emplace_back(token, bias);
  sampling.seed = from.seed ? *from.seed : random_seed();
  return sampling;
}

decode::Attention attention_of(GuestAttention from) {
  if (auto* runs = std::get_if<std::vector<uint32_t>>(&from))
    return decode::AttendRuns{std::move(*runs)};
  if (const auto* window = std::get_if<GuestWindow>(&from))
    return decode::AttendWindow{window->sink, window->length};
  return decode::AttendAll{};
}

}  // namespace

void bound_tokens(GuestRequest& request, uint32_t page_size) {
  const uint64_t slots = uint64_t{request.pages.size()} * page_size;
  const uint64_t used = uint64_t{request.context_length} + request.pending.size();
  const uint64_t room = slots > used ? slots - used : 0;
  request.tokens_max = static_cast<uint32_t>(std::min<uint64_t>(request.tokens_max, room + 2));
}

uint64_t memory_bytes(const GuestRequest& request) {
  uint64_t known = request.context.size() + request.pending.size() + request.tokens_max;
  for (const auto& source : request.drafting.sources) known += source.size() + 1;
  const uint64_t for_each_known =
      sizeof(TokenId) * 2 +
      (request.drafting.tokens_max > 0 ? decode::NgramIndex::kBytesPerToken : 0);
  uint64_t texts = 0;
  for (const std::string& text : request.stop_texts) texts += text.size();
  return kGenerationBytes + known * for_each_known + texts +
         request.pages.size() * sizeof(VirtualPage) +
         request.sampling.bias.size() * sizeof(std::pair<TokenId, float>) +
         request.tokens_max *
             (kTokenBytes + std::min(request.ranked, decode::kRankedMax) * kRankedBytes);
}

decode::GenerationRequest request_of(GuestRequest from,
                                     std::shared_ptr<decode::Constraint> constraint,
                                     model::AdapterRef adapter) {
  decode::GenerationRequest request;
  request.pages.reserve(from.pages.size());
  for (const uint32_t page : from.pages) request.pages.emplace_back(page);
  request.context_len = from.context_length;
  request.context = std::move(from.context);
  request.pending = std::move(from.pending);
  request.position = from.position;
  request.attention = attention_of(std::move(from.attention));
  request.sampling = choice_of(from.sampling);
  request.drafting = {from.drafting.tokens_max, from.drafting.match_min,
                      std::move(from.drafting.sources)};
  request.stop_tokens = std::move(from.stop_tokens);
  request.stop_texts = std::move(from.stop_texts);
  request.tokens_max = from.tokens_max;
  request.wants_details = from.log_probabilities;
  request.ranked = from.ranked;
  request.constraint = std::move(constraint);
  request.adapter = std::move(adapter);
  return request;
}

}  // namespace pie::host
