#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong_id.h"
#include "sample/distribution.h"
#include "sample/logit_rules.h"
#include "sample/random.h"
#include "sample/row_answers.h"
#include "sample/sampler_params.h"

namespace pie::model {
struct Adapter;
}

namespace pie::exec {

/// One row of an attention mask as run lengths over cache slots 0, 1, ...: attend, masked, attend,
/// ... (the first run may be 0). Slots beyond the runs are masked; runs beyond the row's own slot
/// are ignored. (inferlet-host.md, section 2.)
using MaskRuns = std::vector<uint32_t>;

/// One token of a step: a token of the vocabulary, or an embedding of the caller's.
struct StepToken {
  TokenId id = 0;                    ///< looked up in the embedding table, unless
  const float* embedding = nullptr;  ///< ... this is set: f32 [n_embd], alive during the step
  uint32_t position = 0;             ///< feeds the rotary embedding alone
};

/// A token that is to be drawn from the logits of a row.
struct TokenRequest {
  uint32_t row = 0;  ///< token index within the slice
  sample::SamplerParams sampler;
  sample::DrawKey key;         ///< what the draw depends on besides the logits
  bool wants_details = false;  ///< SliceResult::details
};

/// The most probable tokens of a row: the k best of softmax(logits / T).
struct DistributionRequest {
  uint32_t row = 0;  ///< token index within the slice
  float temperature = 1.0F;
  uint32_t top_k = 32;
};

/// What is done to the logits of a row before tokens are drawn of it and distributions ranked; the
/// other requests see it as it is.
struct RuledRow {
  uint32_t row = 0;  ///< token index within the slice
  const sample::LogitRules* rules = nullptr;
};

/// Logits of a row: the `best` greatest, or all (0).
struct LogitRequest {
  uint32_t row = 0;  ///< token index within the slice
  uint32_t best = 0;
};

/// Log-probabilities of tokens of the vocabulary: of softmax(logits).
struct ScoreRequest {
  uint32_t row = 0;  ///< token index within the slice
  std::span<const TokenId> tokens;
};

/// The tokens that one forward pass (or one chunk of it) adds to one sequence.
/// Token i of the slice is written to slot context_len + i and sees slots <= context_len + i.
struct StepSlice {
  std::span<const StepToken> tokens;
  std::span<const KvPageId> pages;    ///< page table: slot s lives in pages[s / page_size];
                                      ///< empty = no cache, the slice's tokens see each other only
                                      ///< (of a step no more than ExecutorConfig::scratch_pages())
  uint32_t context_len = 0;           ///< slots before this slice
  std::span<const MaskRuns> mask;     ///< empty = causal, else one row per token of the slice
  std::vector<uint32_t> logit_rows;   ///< token indices within the slice, ascending: the rows that
                                      ///< the requests name
  std::vector<uint32_t> hidden_rows;  ///< likewise, of which the final hidden states are wanted
  std::vector<TokenRequest> token_requests;
  std::vector<DistributionRequest> distribution_requests;
  std::vector<RuledRow> ruled_rows;  ///< ascending, at most one for a row
  std::vector<LogitRequest> logit_requests;
  std::vector<ScoreRequest> score_requests;
  std::vector<uint32_t> entropy_rows;       ///< token indices: of which the entropy is wanted
  const model::Adapter* adapter = nullptr;  ///< what its tokens are computed under; null = none
};

/// A batch of slices of unrelated sequences, executed as one forward pass of the model.
struct StepBatch {
  std::vector<StepSlice> slices;
};

/// A step that was submitted.
using StepTicket = StrongId<struct StepTicketTag, uint64_t>;

/// What a slice gave.
struct SliceResult {
  std::vector<TokenId> tokens;                      ///< of its token requests, in their order
  std::vector<sample::Distribution> distributions;  ///< of its distribution requests, likewise
  std::vector<sample::TokenDetails> details;        ///< of its token requests that want them
  std::vector<sample::LogitRow> logits;             ///< of its logit requests
  std::vector<std::vector<float>> scores;           ///< of its score requests
  std::vector<float> entropies;                     ///< of its entropy rows
  std::span<const float> hidden;  ///< f32 [hidden_rows, n_embd], after the final norm; valid until
                                  ///< the next submit()
};
/// By slice of the batch.
using StepResults = std::vector<SliceResult>;

/// What K and V are kept as. kQ8: int8, with one f32 scale for each head's K and V of a token. The
/// native executor serves all three, the ggml one kF16.
enum class KvFormat { kF16, kBf16, kQ8 };

/// Bytes of K and V of one head of one layer and one token.
constexpr uint32_t kv_head_token_bytes(KvFormat format, uint32_t key_size, uint32_t value_size) {
  return format == KvFormat::kQ8 ? key_size + value_size + 8 : 2 * (key_size + value_size);
}
/// "f16", "bf16" or "q8".
const char* kv_format_name(KvFormat format);
/// The format of that name; kInvalidArgument for another one.
Result<KvFormat> parse_kv_format(std::string_view name);

/// Size of the KV pool and of a step.
struct ExecutorConfig {
  uint32_t page_count = 0;  ///< pages in the pool
  uint32_t page_size = 16;  ///< tokens a page
  uint32_t step_tokens_max = 512;
  uint32_t thread_count = 0;  ///< 0 = as the machine has (base/machine.h)
  KvFormat kv_format = KvFormat::kF16;

  /// Pages that the slices without cache of one step may need together, each rounded up.
  uint32_t scratch_pages() const {
    return std::min(step_tokens_max, 2 * ((step_tokens_max + page_size - 1) / page_size) + 32);
  }
};

/// Runs steps of one model over a pool of K/V pages that it owns.
/// Thread: engine only, unless it says otherwise. The caller keeps slices of one step from writing
/// to one slot twice.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Begins a step. The batch, and what it refers to, stays as it is until the step is collected;
  /// so do its pages. Errors of submit() and collect() are ours or the machine's (never a
  /// program's: the engine has validated ids and bounds), std::bad_alloc among them; after one the
  /// pool's contents of these slices are undefined until they are computed again.
  virtual Result<StepTicket> submit(const StepBatch& batch) = 0;
  /// Waits for the step's end and takes what it gave; once for each ticket, before the next
  /// submit().
  virtual Result<StepResults> collect(StepTicket ticket) = 0;
  /// Makes pages read as empty (zero), before they are given to a program.
  virtual void clear_pages(std::span<const KvPageId> pages) = 0;
  /// Copies whole pages, from[i] to to[i].
  virtual void copy_pages(std::span<const KvPageId> from, std::span<const KvPageId> to) = 0;

  /// The bytes of a page, page_bytes() of them, in a layout of the executor's own; and back. A page
  /// that is written with the bytes of another reads exactly like that one. From any thread, also
  /// during a step, as long as nobody else touches the page meanwhile.
  virtual void read_page(KvPageId page, std::span<std::byte> bytes) const = 0;
  virtual void write_page(KvPageId page, std::span<const std::byte> bytes) = 0;
  /// Names that layout and everything that the bytes depend on besides the tokens: executor, page
  /// format and size, content of the model's file. Bytes of another layout are never given to
  /// write_page().
  /// kCorrupt when the file was changed since it was loaded. Reads it all.
  virtual Result<std::string> layout_id() const = 0;

  virtual const ExecutorConfig& config() const = 0;
  /// Bytes of K and V that one page holds over all layers.
  virtual uint64_t page_bytes() const = 0;
};

}  // namespace pie::exec
