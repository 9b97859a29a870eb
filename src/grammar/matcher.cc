#include "grammar/matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "grammar/bounded_call.h"
#include "grammar/library_text.h"

namespace pie::grammar {
namespace {

constexpr CallBounds kStepBounds = {.memory_bytes = 64ULL << 20, .cpu_ns = 20'000'000};
/// To come back to where a matcher was; it was there before.
constexpr CallBounds kRestartBounds = {.memory_bytes = 256ULL << 20, .cpu_ns = 2'000'000'000};
constexpr uint64_t kMatcherBytesMin = 4096;  ///< counted for it at least

void set_bit(std::vector<uint32_t>& words, TokenId token, bool is_set) {
  const uint32_t bit = 1U << (token % 32);
  words[token / 32] = is_set ? words[token / 32] | bit : words[token / 32] & ~bit;
}

}  // namespace

Matcher::Matcher(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  const HeapMeter meter(held_);
  matcher_ = grammar_->start();
}

bool Matcher::has_ended() const {
  return !tokens_.empty() && grammar_->vocabulary().is_stop(tokens_.back());
}

Result<std::vector<uint32_t>> Matcher::mask() {
  const Vocabulary& vocabulary = grammar_->vocabulary();
  std::vector<uint32_t> words(vocabulary.mask_words(), 0);
  const bool is_end = is_complete();
  if (!is_end) {
    const HeapMeter meter(held_);
    const BoundedCall bounded(kStepBounds);
    if (llg_matcher_compute_mask_into(matcher_.get(), words.data(), words.size() * 4) != 0)
      return recover();
  }
  const bool may_end = is_end || can_stop();
  for (const TokenId stop : vocabulary.stops()) set_bit(words, stop, may_end);
  return words;
}

Result<size_t> Matcher::validate(std::span<const TokenId> tokens) {
  const Vocabulary& vocabulary = grammar_->vocabulary();
  for (const TokenId token : tokens)
    if (token >= vocabulary.size())
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("[grammar] got token id {}, expected < {}", token, vocabulary.size())};
  if (tokens.empty() || has_ended()) return size_t{0};
  if (is_complete()) return size_t{vocabulary.is_stop(tokens.front()) ? 1U : 0U};
  const HeapMeter meter(held_);
  const BoundedCall bounded(kStepBounds);
  const int32_t count = llg_matcher_validate_tokens(matcher_.get(), tokens.data(), tokens.size());
  if (count < 0) return recover();
  return static_cast<size_t>(count);
}

Result<void> Matcher::accept(std::span<const TokenId> tokens) {
  PIE_TRY_ASSIGN(const size_t count, validate(tokens));
  const Vocabulary& vocabulary = grammar_->vocabulary();
  if (count < tokens.size())
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[grammar] got token {} ({}) at {}, expected one that the grammar allows",
                    tokens[count],
                    printable_line(shortened(to_utf8(vocabulary.text_of(tokens[count])), 64)),
                    length() + count)};
  std::span<const TokenId> text = tokens;
  if (!text.empty() && vocabulary.is_stop(text.back())) text = text.first(text.size() - 1);
  if (!text.empty()) {
    const HeapMeter meter(held_);
    const BoundedCall bounded(kStepBounds);
    if (llg_matcher_consume_tokens(matcher_.get(), text.data(), text.size()) != 0) return recover();
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return {};
}

Result<void> Matcher::rollback(size_t count) {
  if (count > tokens_.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[grammar] got {} tokens to take back, expected at most {}", count,
                             tokens_.size())};
  const size_t of_text = count - (count > 0 && has_ended() ? 1 : 0);
  tokens_.resize(tokens_.size() - count);
  if (of_text == 0) return {};
  const HeapMeter meter(held_);
  const BoundedCall bounded(kStepBounds);
  // Some grammars cannot be gone back in.
  if (llg_matcher_rollback(matcher_.get(), of_text) != 0) restart();
  return {};
}

Matcher Matcher::fork() const {
  Matcher other(grammar_, nullptr);
  other.tokens_ = tokens_;
  const HeapMeter meter(other.held_);
  other.matcher_.reset(llg_clone_matcher(matcher_.get()));
  return other;
}

Result<std::vector<TokenId>> Matcher::forced_tokens() {
  std::vector<TokenId> tokens;
  if (is_complete()) return tokens;
  constexpr size_t kTokensMax = 4096;
  tokens.resize(kTokensMax);
  const HeapMeter meter(held_);
  const BoundedCall bounded(kStepBounds);
  const int32_t count = llg_matcher_compute_ff_tokens(matcher_.get(), tokens.data(), tokens.size());
  if (count < 0) return recover();
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

bool Matcher::can_stop() {
  if (is_complete()) return true;
  const HeapMeter meter(held_);
  const BoundedCall bounded(kStepBounds);
  const bool is_accepting = llg_matcher_is_accepting(matcher_.get());
  if (llg_matcher_is_error(matcher_.get())) restart();
  return is_accepting;
}

bool Matcher::is_complete() {
  return has_ended() ||
         (llg_matcher_is_stopped(matcher_.get()) && !llg_matcher_is_error(matcher_.get()));
}

uint64_t Matcher::bytes() const {
  return kMatcherBytesMin + static_cast<uint64_t>(std::max<int64_t>(held_, 0)) +
         tokens_.capacity() * sizeof(TokenId);
}

Error Matcher::recover() {
  const char* said = llg_matcher_get_error(matcher_.get());
  const std::string why = library_text(said != nullptr ? said : "an unknown error");
  restart();
  return Error{ErrorCode::kResourceExhausted,
               fmt::format("[grammar] got: {}; expected a simpler grammar", why)};
}

void Matcher::restart() {
  pie_llguidance_end_bounds();  // cloning does not catch panics
  matcher_ = nullptr;
  matcher_ = grammar_->start();
  std::span<const TokenId> text = tokens_;
  if (has_ended()) text = text.first(text.size() - 1);
  const BoundedCall bounded(kRestartBounds);
  // Where it does not come so far any more, it stays in error, and every call says so.
  if (!text.empty()) (void)!llg_matcher_consume_tokens(matcher_.get(), text.data(), text.size());
}

}  // namespace pie::grammar
