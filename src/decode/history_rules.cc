#include "decode/history_rules.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace pie::decode {
namespace {

using Penalty = sample::LogitRules::Penalty;

/// Of a repetition; longer ones are punished no more.
constexpr size_t kRepetitionMax = 64;

bool counts_tokens(const Penalties& penalties) {
  return penalties.repetition != 1.0F || penalties.presence != 0.0F || penalties.frequency != 0.0F;
}

/// For each place of `text` how many tokens from there on are equal to its first ones (Gusfield's
/// Z-algorithm).
std::vector<size_t> equal_prefixes(std::span<const TokenId> text) {
  std::vector<size_t> equal(text.size(), 0);
  size_t begin = 0, end = 0;  // of the part that reaches furthest
  for (size_t i = 1; i < text.size(); ++i) {
    size_t& length = equal[i];
    if (i < end) length = std::min(end - i, equal[i - begin]);
    while (i + length < text.size() && text[length] == text[i + length]) ++length;
    if (i + length > end) begin = i, end = i + length;
  }
  return equal;
}

}  // namespace

HistoryRules::HistoryRules(const TokenChoice& sampling, std::span<const TokenId> context)
    : penalties_(sampling.penalties),
      dry_(sampling.dry),
      bias_(sampling.bias),
      counts_tokens_(counts_tokens(penalties_)),
      tokens_(context.begin(), context.end()) {
  if (!counts_tokens_) return;
  const size_t recent = std::min<size_t>(tokens_.size(), penalties_.window);
  for (const TokenId token : std::span(tokens_).last(recent)) ++count_of(counts_, token).recent;
}

HistoryRules::Count& HistoryRules::count_of(Counts& counts, TokenId token) {
  const auto at = std::lower_bound(counts.begin(), counts.end(), token,
                                   [](const Count& one, TokenId id) { return one.token < id; });
  if (at != counts.end() && at->token == token) return *at;
  return *counts.insert(at, Count{.token = token});
}

/// The token so far back from the end of the text with its draft; 1 is the last one.
TokenId HistoryRules::from_end(std::span<const TokenId> draft, size_t back) const {
  return back <= draft.size() ? draft[draft.size() - back]
                              : tokens_[tokens_.size() - (back - draft.size())];
}

void HistoryRules::add(Counts& counts, std::span<const TokenId> draft) const {
  Count& last = count_of(counts, from_end(draft, 1));
  ++last.generated;
  if (penalties_.window == 0) return;
  ++last.recent;
  const size_t leaves = size_t{penalties_.window} + 1;
  if (leaves <= tokens_.size() + draft.size()) --count_of(counts, from_end(draft, leaves)).recent;
}

void HistoryRules::append(TokenId token) {
  tokens_.push_back(token);
  if (counts_tokens_) add(counts_, {});
}

std::shared_ptr<sample::LogitRules> HistoryRules::after(std::span<const TokenId> draft) const {
  const bool is_dry = dry_.multiplier > 0.0F;
  if (bias_.empty() && !counts_tokens_ && !is_dry) return nullptr;
  auto rules = std::make_shared<sample::LogitRules>();
  rules->bias = bias_;
  if (counts_tokens_) {
    Counts counts = counts_;
    for (size_t i = 1; i <= draft.size(); ++i) add(counts, draft.first(i));
    for (const Count& one : counts) {
      Penalty penalty{.token = one.token};
      if (one.recent > 0) penalty.divisor = penalties_.repetition;
      const bool counts_window = penalties_.counted == Penalties::Counted::kWindow;
      const uint32_t counted = counts_window ? one.recent : one.generated;
      if (counted > 0)
        penalty.subtrahend =
            penalties_.presence + penalties_.frequency * static_cast<float>(counted);
      rules->penalties.push_back(penalty);
    }
  }
  if (!is_dry) return rules;
  for (const auto& [token, subtrahend] : dry(draft)) {
    const auto at = std::lower_bound(rules->penalties.begin(), rules->penalties.end(), token,
                                     [](const Penalty& one, TokenId id) { return one.token < id; });
    if (at != rules->penalties.end() && at->token == token) {
      at->subtrahend += subtrahend;
    } else {
      rules->penalties.insert(at, {.token = token, .subtrahend = subtrahend});
    }
  }
  return rules;
}

std::vector<std::pair<TokenId, float>> HistoryRules::dry(std::span<const TokenId> draft) const {
  const size_t length = std::min<size_t>(tokens_.size() + draft.size(), dry_.window);
  std::vector<TokenId> backwards(length);
  for (size_t i = 0; i < length; ++i) backwards[i] = from_end(draft, i + 1);
  const auto breaks = [&](TokenId token) {
    return std::find(dry_.breakers.begin(), dry_.breakers.end(), token) != dry_.breakers.end();
  };
  const auto first = std::find_if(backwards.begin(), backwards.end(), breaks);
  const auto most = std::min(static_cast<size_t>(first - backwards.begin()), kRepetitionMax);
  const std::vector<size_t> equal = equal_prefixes(backwards);
  std::map<TokenId, size_t> longest;  // the repetition that a token would go on with
  for (size_t i = 1; i < length; ++i) {
    const size_t repeated = std::min(equal[i], most);
    const TokenId follows = backwards[i - 1];
    if (repeated < std::max(dry_.allowed_length, 1U) || breaks(follows)) continue;
    size_t& known = longest[follows];
    known = std::max(known, repeated);
  }
  std::vector<std::pair<TokenId, float>> penalties;
  for (const auto& [token, repeated] : longest) {
    const auto beyond =
        static_cast<float>(repeated - std::min<size_t>(repeated, dry_.allowed_length));
    penalties.emplace_back(token, dry_.multiplier * std::pow(dry_.base, beyond));
  }
  return penalties;
}

}  // namespace pie::decode
