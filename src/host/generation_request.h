#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "decode/request.h"
#include "wasm/wit_described.h"

namespace pie::host {

// pie:decode/generate's request as programs say it; what each field means is in wit/.

enum class CountedCase { kGenerated, kWindow };
constexpr auto wit_type(const CountedCase*) { return wasm::enum_of("generated", "window"); }

struct GuestPenalties {
  float repetition = 1;
  uint32_t window = 0;
  float presence = 0, frequency = 0;
  CountedCase counted = CountedCase::kGenerated;
};
constexpr auto wit_type(const GuestPenalties*) {
  return wasm::record(wasm::field("repetition", &GuestPenalties::repetition),
                      wasm::field("window", &GuestPenalties::window),
                      wasm::field("presence", &GuestPenalties::presence),
                      wasm::field("frequency", &GuestPenalties::frequency),
                      wasm::field("counted", &GuestPenalties::counted));
}

struct GuestDry {
  float multiplier = 0, base = 1;
  uint32_t allowed_length = 0, window = 0;
  std::vector<TokenId> breakers;
};
constexpr auto wit_type(const GuestDry*) {
  return wasm::record(
      wasm::field("multiplier", &GuestDry::multiplier), wasm::field("base", &GuestDry::base),
      wasm::field("allowed-length", &GuestDry::allowed_length),
      wasm::field("window", &GuestDry::window), wasm::field("breakers", &GuestDry::breakers));
}

struct GuestMirostat {
  float target = 0, rate = 0;
  std::optional<float> surprise_max;
};
constexpr auto wit_type(const GuestMirostat*) {
  return wasm::record(wasm::field("target", &GuestMirostat::target),
                      wasm::field("rate", &GuestMirostat::rate),
                      wasm::field("surprise-max", &GuestMirostat::surprise_max));
}

struct GuestSampling {
  float temperature = 0;
  uint32_t top_k = 0;
  float top_p = 1, min_p = 0, typical_p = 1, xtc_probability = 0, xtc_threshold = 0;
  std::optional<GuestPenalties> penalties;
  std::optional<GuestDry> dry;
  std::optional<GuestMirostat> mirostat;
  std::vector<std::tuple<TokenId, float>> bias;
  std::optional<uint64_t> seed;
};
constexpr auto wit_type(const GuestSampling*) {
  return wasm::record(
      wasm::field("temperature", &GuestSampling::temperature),
      wasm::field("top-k", &GuestSampling::top_k), wasm::field("top-p", &GuestSampling::top_p),
      wasm::field("min-p", &GuestSampling::min_p),
      wasm::field("typical-p", &GuestSampling::typical_p),
      wasm::field("xtc-probability", &GuestSampling::xtc_probability),
      wasm::field("xtc-threshold", &GuestSampling::xtc_threshold),
      wasm::field("penalties", &GuestSampling::penalties), wasm::field("dry", &GuestSampling::dry),
      wasm::field("mirostat", &GuestSampling::mirostat), wasm::field("bias", &GuestSampling::bias),
      wasm::field("seed", &GuestSampling::seed));
}

struct GuestWindow {
  uint32_t sink = 0, length = 0;
};
constexpr auto wit_type(const GuestWindow*) {
  return wasm::record(wasm::field("sink", &GuestWindow::sink),
                      wasm::field("length", &GuestWindow::length));
}
struct GuestEverything {};
using GuestAttention = std::variant<GuestEverything, std::vector<uint32_t>, GuestWindow>;
constexpr auto wit_type(const GuestAttention*) {
  return wasm::variant_of("everything", "runs", "window");
}

struct GuestDrafting {
  uint32_t tokens_max = 0, match_min = 0;
  std::vector<std::vector<TokenId>> sources;
};
constexpr auto wit_type(const GuestDrafting*) {
  return wasm::record(wasm::field("tokens-max", &GuestDrafting::tokens_max),
                      wasm::field("match-min", &GuestDrafting::match_min),
                      wasm::field("sources", &GuestDrafting::sources));
}

struct GuestAdapter {
  uint32_t pointer = 0;
  std::optional<int64_t> seed;
};
constexpr auto wit_type(const GuestAdapter*) {
  return wasm::record(wasm::field("pointer", &GuestAdapter::pointer),
                      wasm::field("seed", &GuestAdapter::seed));
}

struct GuestRequest {
  std::vector<uint32_t> pages;
  uint32_t context_length = 0;
  std::vector<TokenId> context, pending;
  uint32_t position = 0;
  GuestAttention attention;
  GuestSampling sampling;
  GuestDrafting drafting;
  std::vector<TokenId> stop_tokens;
  std::vector<std::string> stop_texts;
  uint32_t tokens_max = 0;
  bool log_probabilities = false;
  uint32_t ranked = 0, wake_tokens = 0;
};
constexpr auto wit_type(const GuestRequest*) {
  return wasm::record(wasm::field("pages", &GuestRequest::pages),
                      wasm::field("context-length", &GuestRequest::context_length),
                      wasm::field("context", &GuestRequest::context),
                      wasm::field("pending", &GuestRequest::pending),
                      wasm::field("position", &GuestRequest::position),
                      wasm::field("attention", &GuestRequest::attention),
                      wasm::field("sampling", &GuestRequest::sampling),
                      wasm::field("drafting", &GuestRequest::drafting),
                      wasm::field("stop-tokens", &GuestRequest::stop_tokens),
                      wasm::field("stop-texts", &GuestRequest::stop_texts),
                      wasm::field("tokens-max", &GuestRequest::tokens_max),
                      wasm::field("log-probabilities", &GuestRequest::log_probabilities),
                      wasm::field("ranked", &GuestRequest::ranked),
                      wasm::field("wake-tokens", &GuestRequest::wake_tokens));
}

/// No more tokens than the pages have room for, and one to find that they are full: what is charged
/// follows from it.
void bound_tokens(GuestRequest& request, uint32_t page_size);
/// What the generation may take of the host's memory, its result included.
uint64_t memory_bytes(const GuestRequest& request);
/// `constraint` and `adapter` may be null.
decode::GenerationRequest request_of(GuestRequest request,
                                     std::shared_ptr<decode::Constraint> constraint,
                                     model::AdapterRef adapter);

}  // namespace pie::host
