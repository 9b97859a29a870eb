#pragma once
// The imports of pie:decode/generate as the canonical ABI lowers them; see abi.h.
#include "pie/abi.h"

namespace inferlet::abi {

struct Penalties {
  float repetition;
  uint32_t window;
  float presence;
  float frequency;
  uint8_t counted;
};
struct Dry {
  float multiplier;
  float base;
  uint32_t allowed_length;
  uint32_t window;
  Slice<const uint32_t> breakers;
};
struct Mirostat {
  float target;
  float rate;
  Option<float> surprise_max;
};
struct TokenBias {
  uint32_t token;
  float bias;
};
struct Sampling {
  float temperature;
  uint32_t top_k;
  float top_p;
  float min_p;
  float typical_p;
  float xtc_probability;
  float xtc_threshold;
  Option<Penalties> penalties;
  Option<Dry> dry;
  Option<Mirostat> mirostat;
  Slice<const TokenBias> bias;
  Option<uint64_t> seed;
};
struct Attention {
  enum Case : uint8_t { kEverything, kRuns, kWindow };
  uint8_t which;
  union {
    Slice<const uint32_t> runs;
    struct {
      uint32_t sink;
      uint32_t length;
    } window;
  } of;
};
struct Drafting {
  uint32_t tokens_max;
  uint32_t match_min;
  Slice<const Slice<const uint32_t>> sources;
};
struct GenerationRequest {
  Slice<const uint32_t> pages;
  uint32_t context_length;
  Slice<const uint32_t> context;
  Slice<const uint32_t> pending;
  uint32_t position;
  Attention attention;
  Sampling sampling;
  Drafting drafting;
  Slice<const uint32_t> stop_tokens;
  Slice<const Text> stop_texts;
  uint32_t tokens_max;
  uint8_t log_probabilities;
  uint32_t ranked;
  uint32_t wake_tokens;
};
struct GenerationStart {
  Handle queue;
  GenerationRequest request;
};
struct ConstrainedStart {
  Handle queue;
  GenerationRequest request;
  Handle matcher;
};
struct GenerationAdapter {
  uint32_t pointer;
  Option<int64_t> seed;
};
struct AdaptedStart {
  Handle queue;
  GenerationRequest request;
  GenerationAdapter adapter;
  Option<Handle> matcher;
};
struct GenerationStarted {
  uint8_t is_error;
  union {
    Handle generation;
    Text error;
  } of;
};
struct GenerationPiece {
  Text text;
  U32s tokens;
  Slice<float> log_probabilities;
  Slice<Distribution> ranked;
  Slice<float> surprise_max;
};
struct GenerationEnd {
  uint8_t reason;
  Text message;
  uint32_t tokens;
  uint32_t context_length;
  uint32_t passes;
  uint32_t drafted;
  uint32_t accepted;
};

#define PIE_DECODE(name) PIE_IMPORT("pie:decode/generate@0.1.0", name)
PIE_DECODE("[static]generation.start")
void generation_start(const GenerationStart* in, GenerationStarted* out);
PIE_DECODE("[static]generation.start-constrained")
void generation_start_constrained(const ConstrainedStart* in, GenerationStarted* out);
PIE_DECODE("[static]generation.start-under")
void generation_start_under(const AdaptedStart* in, GenerationStarted* out);
PIE_DECODE("[method]generation.pollable") Handle generation_pollable(Handle self);
PIE_DECODE("[method]generation.read") void generation_read(Handle self, GenerationPiece* out);
PIE_DECODE("[method]generation.end") void generation_end(Handle self, Option<GenerationEnd>* out);
PIE_DECODE("[method]generation.cancel") void generation_cancel(Handle self);
PIE_DECODE("[method]generation.suggest")
void generation_suggest(Handle self, uint32_t generated, const uint32_t* tokens, uint32_t count,
                        TextResult* out);
PIE_DECODE("[resource-drop]generation") void generation_drop(Handle self);
#undef PIE_DECODE

}  // namespace inferlet::abi
