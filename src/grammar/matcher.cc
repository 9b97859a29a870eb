#include "grammar/matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "grammar/bounded_call.h"
#include "grammar/library_text.h"

namespace pie::grammar {
namespace {

constexpr CallBounds kStepBounds = {.memory_bytes = 64ULL << 20, .cpu_ns = 20'000'000};
/// Of coming back to where a matcher was, in one call; and the tokens of one step of it.
constexpr uint64_t kCatchUpNs = 30'000'000;
constexpr size_t kCatchUpTokens = 64;
constexpr uint64_t kMatcherBytesMin = 4096;  ///< counted for it at least

void set_bit(std::vector<uint32_t>& words, TokenId token, bool is_set) {
  const uint32_t bit = 1U << (token % 32);
  words[token / 32] = is_set ? words[token / 32] | bit : words[token / 32] & ~bit;
}

uint64_t thread_cpu_ns() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
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
  PIE_TRY(catch_up());
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
  PIE_TRY(catch_up());
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
  std::span<const TokenId> more = tokens;
  if (!more.empty() && vocabulary.is_stop(more.back())) more = more.first(more.size() - 1);
  if (!more.empty()) {
    const HeapMeter meter(held_);
    const BoundedCall bounded(kStepBounds);
    if (llg_matcher_consume_tokens(matcher_.get(), more.data(), more.size()) != 0) return recover();
    applied_ += more.size();
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return {};
}

Result<void> Matcher::rollback(size_t count) {
  if (count > tokens_.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[grammar] got {} tokens to take back, expected at most {}", count,
                             tokens_.size())};
  tokens_.resize(tokens_.size() - count);
  const size_t left = text().size();
  if (applied_ <= left) return {};
  const HeapMeter meter(held_);
  const BoundedCall bounded(kStepBounds);
  // Some grammars cannot be gone back in.
  if (llg_matcher_rollback(matcher_.get(), applied_ - left) == 0)
    applied_ = left;
  else
    restart();
  return {};
}

Matcher Matcher::fork() const {
  Matcher other(grammar_, nullptr);
  other.tokens_ = tokens_;
  other.applied_ = applied_;
  const HeapMeter meter(other.held_);
  other.matcher_.reset(llg_clone_matcher(matcher_.get()));
  return other;
}

Result<std::vector<TokenId>> Matcher::forced_tokens() {
  PIE_TRY(catch_up());
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
  if (!catch_up().ok()) return false;
  const HeapMeter meter(held_);
  const BoundedCall bounded(kStepBounds);
  const bool is_accepting = llg_matcher_is_accepting(matcher_.get());
  if (llg_matcher_is_error(matcher_.get())) restart();
  return is_accepting;
}

bool Matcher::is_complete() {
  if (has_ended()) return true;
  return catch_up().ok() &&
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
  applied_ = 0;
}

Result<void> Matcher::catch_up() {
  const std::span<const TokenId> all = text();
  if (applied_ == all.size()) return {};
  const uint64_t end_ns = thread_cpu_ns() + kCatchUpNs;
  const HeapMeter meter(held_);
  while (applied_ < all.size()) {
    if (thread_cpu_ns() >= end_ns)
      return Error{
          ErrorCode::kUnavailable,
          fmt::format("[grammar] got a matcher that has come back to token {} of {} after an "
                      "error, expected a further call: it goes on there",
                      applied_, all.size())};
    const auto next = all.subspan(applied_, std::min(kCatchUpTokens, all.size() - applied_));
    const BoundedCall bounded(kStepBounds);
    if (llg_matcher_consume_tokens(matcher_.get(), next.data(), next.size()) != 0) return recover();
    applied_ += next.size();
  }
  return {};
}

std::span<const TokenId> Matcher::text() const {
  return std::span(tokens_).first(tokens_.size() - (has_ended() ? 1 : 0));
}

}  // namespace pie::grammar
