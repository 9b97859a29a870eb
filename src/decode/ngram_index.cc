#include "decode/ngram_index.h"

#include <algorithm>

#include "decode/check_request.h"
#include "sample/random.h"

namespace pie::decode {
namespace {

/// Between two texts: no token.
constexpr TokenId kGap = UINT32_MAX;
/// Earlier matches that are compared, the latest first, each by kMatchMax tokens at most.
constexpr int kCandidatesMax = 128;

}  // namespace

void NgramIndex::add_source(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) append(token);
  tokens_.push_back(kGap);
  previous_.push_back(0);
  run_ = 0;
}

void NgramIndex::append(TokenId token) {
  tokens_.push_back(token);
  previous_.push_back(0);
  ++run_;
  index_last();
}

/// Ends count from 1: the tokens before it.
uint64_t NgramIndex::key_at(size_t end) const {
  uint64_t key = match_min_;
  for (size_t i = end - match_min_; i < end; ++i) key = sample::mix_bits(key ^ tokens_[i]);
  return key;
}

void NgramIndex::index_last() {
  if (run_ < match_min_) return;
  const size_t end = tokens_.size();
  uint32_t& last = last_[key_at(end)];
  previous_[end - 1] = last;
  last = static_cast<uint32_t>(end);
}

/// Equal tokens before `end` and before the sequence's end.
size_t NgramIndex::match_length(size_t end) const {
  const size_t most = std::min({end, run_, size_t{kMatchMax}});
  size_t length = 0;
  while (length < most && tokens_[end - 1 - length] == tokens_[tokens_.size() - 1 - length])
    ++length;
  return length;
}

std::vector<TokenId> NgramIndex::look_up(size_t count) const {
  if (run_ < match_min_ || count == 0) return {};
  size_t best_end = 0, best_length = 0;
  size_t end = previous_.back();
  for (int i = 0; end != 0 && i < kCandidatesMax; ++i, end = previous_[end - 1]) {
    const size_t length = match_length(end);
    if (length < match_min_ || length <= best_length) continue;  // another key's, or no better
    best_end = end, best_length = length;
    if (length == kMatchMax) break;
  }
  std::vector<TokenId> found;
  for (size_t i = best_end; best_end != 0 && i < tokens_.size() && found.size() < count; ++i) {
    if (tokens_[i] == kGap) break;
    found.push_back(tokens_[i]);
  }
  return found;
}

}  // namespace pie::decode
