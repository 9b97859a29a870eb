#include "decode/check_request.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <string>

namespace pie::decode {
namespace {

template <class... Args>
Error wrong(fmt::format_string<Args...> text, Args&&... args) {
  return {ErrorCode::kInvalidArgument,
          "[generate] got " + fmt::format(text, std::forward<Args>(args)...)};
}

Result<void> check_tokens(const char* what, std::span<const TokenId> tokens, uint32_t vocab_size) {
  for (const TokenId token : tokens)
    if (token >= vocab_size)
      return wrong("token id {} in {}, expected < {}", token, what, vocab_size);
  return {};
}

/// `max` is infinite where there is no bound; NaN is never in range.
Result<void> check_range(const char* what, float value, float min, float max) {
  if (value >= min && value <= max && std::isfinite(value)) return {};
  if (std::isinf(max)) return wrong("{} {}, expected a number from {}", what, value, min);
  return wrong("{} {}, expected {} to {}", what, value, min, max);
}

Result<void> check_window(const char* what, uint32_t window) {
  if (window <= kHistoryWindowMax) return {};
  return wrong("{} of {} tokens, expected at most {}", what, window, kHistoryWindowMax);
}

Result<void> check_sampling(const TokenChoice& sampling, uint32_t vocab_size) {
  constexpr float kNoMax = INFINITY;
  constexpr float kLogitMax = 1e6F;
  const sample::SamplerParams& params = sampling.params;
  PIE_TRY(check_range("temperature", params.temperature, 0, kNoMax));
  PIE_TRY(check_range("top-p", params.top_p, 0, 1));
  PIE_TRY(check_range("min-p", params.min_p, 0, 1));
  PIE_TRY(check_range("typical-p", params.typical_p, 0, 1));
  PIE_TRY(check_range("xtc-probability", params.xtc_probability, 0, 1));
  PIE_TRY(check_range("xtc-threshold", params.xtc_threshold, 0, 1));
  const Penalties& penalties = sampling.penalties;
  PIE_TRY(check_range("repetition penalty", penalties.repetition, 1e-3F, 1e3F));
  PIE_TRY(check_range("presence penalty", penalties.presence, -kLogitMax, kLogitMax));
  PIE_TRY(check_range("frequency penalty", penalties.frequency, -kLogitMax, kLogitMax));
  PIE_TRY(check_window("a penalty window", penalties.window));
  PIE_TRY(check_range("DRY multiplier", sampling.dry.multiplier, 0, kLogitMax));
  PIE_TRY(check_range("DRY base", sampling.dry.base, 1, 1e3F));
  PIE_TRY(check_window("a DRY window", sampling.dry.window));
  if (sampling.dry.breakers.size() > kBreakersMax)
    return wrong("{} DRY breakers, expected at most {}", sampling.dry.breakers.size(),
                 kBreakersMax);
  if (sampling.mirostat) {
    PIE_TRY(check_range("mirostat target", sampling.mirostat->target, kSurpriseMin, 1e3F));
    PIE_TRY(check_range("mirostat rate", sampling.mirostat->rate, 0, 1));
    if (const auto& begin = sampling.mirostat->surprise_max)
      PIE_TRY(check_range("mirostat surprise-max", *begin, kSurpriseMin, kNoMax));
  }
  for (const auto& [token, bias] : sampling.bias) {
    PIE_TRY(check_tokens("the bias", {&token, 1}, vocab_size));
    PIE_TRY(check_range("bias", bias, -kLogitMax, kLogitMax));
  }
  return {};
}

Result<void> check_attention(const GenerationRequest& request) {
  if (const auto* window = std::get_if<AttendWindow>(&request.attention)) {
    if (window->length > 0) return {};
    return wrong("a window of 0 slots, expected at least the token's own");
  }
  const auto* runs = std::get_if<AttendRuns>(&request.attention);
  if (runs == nullptr) return {};
  uint64_t covered = 0;
  for (const uint32_t run : runs->runs) covered += run;
  if (covered <= request.context_len) return {};
  return wrong("attention runs over {} slots, expected at most the {} of the context", covered,
               request.context_len);
}

Result<void> check_stops(const GenerationRequest& request) {
  if (request.stop_tokens.size() > kStopsMax || request.stop_texts.size() > kStopsMax)
    return wrong("{} stop tokens and {} stop texts, expected at most {} of each",
                 request.stop_tokens.size(), request.stop_texts.size(), kStopsMax);
  for (const std::string& text : request.stop_texts)
    if (text.size() > kStopTextBytesMax)
      return wrong("a stop text of {} bytes, expected at most {}", text.size(), kStopTextBytesMax);
  return {};
}

Result<void> check_room(const GenerationRequest& request, uint32_t page_size) {
  const uint64_t slots = uint64_t{request.pages.size()} * page_size;
  const uint64_t needed = uint64_t{request.context_len} + request.pending.size();
  if (needed <= slots) return {};
  return wrong(
      "{} pages that hold {} tokens, expected room for {}: {} of the context and {} pending",
      request.pages.size(), slots, needed, request.context_len, request.pending.size());
}

}  // namespace

Result<void> check_request(const GenerationRequest& request, const EngineFacts& engine) {
  if (request.pending.empty()) return wrong("no pending tokens, expected at least one");
  if (request.tokens_max == 0) return wrong("at most 0 tokens, expected at least 1");
  PIE_TRY(check_room(request, engine.page_size));
  PIE_TRY(check_tokens("the context", request.context, engine.vocab_size));
  PIE_TRY(check_tokens("the pending ones", request.pending, engine.vocab_size));
  PIE_TRY(check_attention(request));
  PIE_TRY(check_sampling(request.sampling, engine.vocab_size));
  PIE_TRY(check_stops(request));
  if (request.drafting.match_min > kMatchMax)
    return wrong("look-ups of {} equal tokens, expected at most {}", request.drafting.match_min,
                 kMatchMax);
  if (request.ranked > kRankedMax)
    return wrong("{} ranked tokens, expected at most {}", request.ranked, kRankedMax);
  return {};
}

}  // namespace pie::decode
