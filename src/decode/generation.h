#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "decode/check_request.h"
#include "decode/draft_length.h"
#include "decode/history_rules.h"
#include "decode/ngram_index.h"
#include "decode/outcome.h"
#include "decode/request.h"
#include "decode/text_cutter.h"
#include "engine/forward_pass.h"
#include "model/tokenizer.h"

namespace pie::decode {

/// A generation as a state machine: what it wants computed, and what comes of it. It calls nobody.
///
/// Tokens are drawn by their place in the sequence, from logits that are the same bits however many
/// tokens a pass has: with drafts the text is what it is without. One thread at a time; the
/// tokenizer outlives it.
class Generation {
 public:
  /// Checks the request: kInvalidArgument, "[generate] got X, expected Y".
  static Result<std::unique_ptr<Generation>> create(GenerationRequest request,
                                                    const model::Tokenizer& tokenizer,
                                                    const EngineFacts& engine);

  /// The next pass: what is pending, and what is tried; nothing once it has ended.
  std::optional<engine::ForwardPass> next_pass();
  /// What the last pass gave.
  void take(engine::ForwardOutput output);
  /// A draft of the caller's for what comes after `generated` tokens; of no use once these are not
  /// the text's. Replaces the one before.
  void suggest(uint32_t generated, std::vector<TokenId> tokens);
  /// It ends; what the last pass gives is not taken any more.
  void stop(EndReason reason, std::string message = {});

  /// What has come since the last call.
  Piece take_piece();
  /// Once it has ended, after the last piece.
  const std::optional<GenerationEnd>& end() const { return end_; }
  uint32_t generated() const { return generated_; }

 private:
  Generation(GenerationRequest request, const model::Tokenizer& tokenizer,
             const EngineFacts& engine);

  std::vector<TokenId> draft(size_t most);
  std::vector<TokenId> proposal(size_t most);
  using Rules = std::vector<std::shared_ptr<sample::LogitRules>>;  ///< null: none
  Result<Rules> rules_of_draft();
  void add_outputs(size_t row, std::shared_ptr<sample::LogitRules> rules,
                   engine::ForwardPass& pass) const;
  void set_pages(engine::ForwardPass& pass) const;
  void set_mask(engine::ForwardPass& pass) const;
  std::vector<uint32_t> mask_row(uint32_t slot) const;
  /// Whether another one may follow.
  bool accept(TokenId token, size_t slot, engine::ForwardOutput& output);
  void adapt_surprise(float surprise);
  uint32_t room() const;

  const GenerationRequest request_;
  const model::Tokenizer& tokenizer_;
  const EngineFacts engine_;
  HistoryRules history_;
  NgramIndex lookup_;
  DraftLength draft_length_;
  StopTextCutter text_;
  sample::SamplerParams params_;
  std::vector<TokenId> pending_;
  std::vector<TokenId> drafted_;  ///< of the pass that is computed
  std::deque<TokenId> suggested_;
  bool is_suggestion_ = false;  ///< the drafted ones are the caller's
  uint32_t context_len_;
  uint32_t position_;  ///< of the first pending token
  uint32_t generated_ = 0;
  uint32_t rows_ = 0;         ///< of the last pass
  uint32_t step_tokens_ = 0;  ///< of the last step, those of other passes included
  Piece piece_;
  std::optional<GenerationEnd> end_;
  GenerationEnd counts_;
};

}  // namespace pie::decode
