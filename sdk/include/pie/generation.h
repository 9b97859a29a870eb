#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pie/adapter.h"
#include "pie/decode_abi.h"
#include "pie/forward.h"
#include "pie/grammar.h"
#include "pie/handle.h"
#include "pie/logits.h"
#include "pie/model.h"
#include "pie/result.h"

namespace inferlet {

/// How tokens are chosen in a generation that the engine runs: as in a pass (`draw`, `details` and
/// `surprise_max` apart, which are of no use here), and by what was there before;
/// wit/deps/pie-decode says what each means. As it is: the best token.
struct GenerationSampling : Sampling {
  struct Penalties {
    float repetition = 1.0F;
    uint32_t window = 64;
    float presence = 0.0F;
    float frequency = 0.0F;
    /// What presence and frequency count: what it has generated, or what the window holds.
    enum class Counted : uint8_t { kGenerated, kWindow } counted = Counted::kGenerated;
  };
  std::optional<Penalties> penalties;
  struct Dry {
    float multiplier = 0.8F;
    float base = 1.75F;
    uint32_t allowed_length = 2;
    uint32_t window = 1024;
    std::vector<uint32_t> breakers;
  };
  std::optional<Dry> dry;
  struct Mirostat {
    float target = 5.0F;
    float rate = 0.1F;
    std::optional<float> surprise_max;  ///< to begin with; none: twice the target
  };
  std::optional<Mirostat> mirostat;
  std::vector<std::pair<uint32_t, float>> bias;
  std::optional<uint64_t> seed;  ///< the same text again, in any instance
};

/// Tokens that are looked up in the text and computed along; they change no token of the result.
struct Drafting {
  uint32_t tokens_max = 16;  ///< 0: none
  uint32_t match_min = 3;
  std::vector<std::vector<uint32_t>> sources;  ///< texts to look in besides the context

  static Drafting none() { return {.tokens_max = 0, .sources = {}}; }
};

/// What a generation begins with.
struct GenerationRequest {
  std::vector<uint32_t> pages;  ///< of the whole sequence, room for what comes included
  uint32_t context_length = 0;
  std::vector<uint32_t> context;  ///< tokens of the context, for penalties and drafts
  std::vector<uint32_t> pending;  ///< behind the context and not computed; at least one
  uint32_t position = 0;          ///< of the first of these
  /// Slots of the context that are attended to, as ForwardPass::attention_mask has it; none: all.
  std::optional<std::vector<uint32_t>> attention_runs;
  struct Window {
    uint32_t sink = 0;
    uint32_t length = 0;
  };
  std::optional<Window> window;  ///< instead: the first slots and the last ones
  GenerationSampling sampling;
  Drafting drafting;
  std::vector<uint32_t> stop_tokens;
  std::vector<std::string> stop_texts;
  uint32_t tokens_max = 256;
  bool log_probabilities = false;
  uint32_t ranked = 0;       ///< so many best tokens beside each
  uint32_t wake_tokens = 1;  ///< ready when so many have come
  /// Computed under it, as it is at the start; with a seed, under that candidate of it. Null: none.
  std::shared_ptr<const Adapter> adapter = nullptr;
  std::optional<int64_t> adapter_seed;
};

/// What has come of a generation since the last read.
struct GenerationPiece {
  std::string text;
  std::vector<uint32_t> tokens;
  std::vector<float> log_probabilities;
  std::vector<Distribution> ranked;
  std::vector<float> surprise_max;  ///< with mirostat, by token: of the one behind it
};

struct GenerationEnd {
  enum class Reason { kStopToken, kStopText, kComplete, kTokensMax, kRoom, kCancelled, kFailed };
  Reason reason = Reason::kFailed;
  std::string message;  ///< the stop text, or why it failed
  uint32_t tokens = 0;  ///< all but the last are in the pages
  uint32_t context_length = 0;
  uint32_t passes = 0;
  uint32_t drafted = 0;
  uint32_t accepted = 0;
};

/// A generation that the engine runs: nothing in it waits for the program. It ends with this
/// object.
class Generation {
 public:
  static Result<Generation> start(const Queue& queue, const GenerationRequest& request);
  /// The same where each token is one that the grammar lets come next, from the matcher's place;
  /// the matcher stays there.
  static Result<Generation> start(const Queue& queue, const GenerationRequest& request,
                                  const Matcher& matcher);

  /// Ready when there is something to read, or the end.
  Pollable pollable() const;
  GenerationPiece read();
  std::optional<GenerationEnd> end() const;
  /// Waits for more; nothing after the last piece.
  std::optional<GenerationPiece> next();
  void cancel() { abi::generation_cancel(handle_.get()); }
  /// A draft for what follows the first `generated` tokens.
  Result<void> suggest(uint32_t generated, std::span<const uint32_t> tokens);

 private:
  explicit Generation(abi::Handle handle) : handle_(handle) {}
  static Result<Generation> start_under(const Queue& queue, const GenerationRequest& request,
                                        const Matcher* matcher);
  static Result<Generation> started(const abi::GenerationStarted& out);

  OwnedHandle<abi::generation_drop> handle_;
};

}  // namespace inferlet
