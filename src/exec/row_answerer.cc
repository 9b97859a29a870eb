#include "exec/row_answerer.h"

#include <algorithm>

#include "base/check.h"
#include "sample/log_softmax.h"

namespace pie::exec {
namespace {

/// So many requests are answered in one go.
constexpr uint32_t kPartRequests = 16;

/// The logits of a row of the slice.
std::span<const float> row_at(const AskedPart& part, uint32_t row) {
  const std::vector<uint32_t>& rows = part.slice->logit_rows;
  const auto at = std::lower_bound(rows.begin(), rows.end(), row);
  PIE_CHECK(at != rows.end() && *at == row);
  const size_t width = part.logits.size() / rows.size();
  return part.logits.subspan(static_cast<size_t>(at - rows.begin()) * width, width);
}

const sample::LogitRules* rules_of(const StepSlice& slice, uint32_t row) {
  const auto at = std::lower_bound(slice.ruled_rows.begin(), slice.ruled_rows.end(), row,
                                   [](const RuledRow& one, uint32_t r) { return one.row < r; });
  return at != slice.ruled_rows.end() && at->row == row ? at->rules : nullptr;
}

}  // namespace

void add_parts(const StepSlice& slice, std::span<const float> logits, SliceResult& result,
               std::vector<AskedPart>& parts) {
  result.tokens.resize(slice.token_requests.size());
  result.distributions.resize(slice.distribution_requests.size());
  result.logits.resize(slice.logit_requests.size());
  result.scores.resize(slice.score_requests.size());
  result.entropies.resize(slice.entropy_rows.size());
  const auto count =
      static_cast<uint32_t>(result.tokens.size() + result.distributions.size() +
                            result.logits.size() + result.scores.size() + result.entropies.size());
  uint32_t details = 0;
  for (uint32_t begin = 0; begin < count; begin += kPartRequests) {
    parts.push_back(
        {&slice, logits, &result, begin, std::min(begin + kPartRequests, count), details});
    for (size_t i = begin; i < parts.back().end && i < slice.token_requests.size(); ++i)
      details += slice.token_requests[i].wants_details ? 1 : 0;
  }
  result.details.resize(details);
}

std::span<const float> RowAnswerer::ruled(const AskedPart& part, uint32_t row) {
  const std::span<const float> logits = row_at(part, row);
  const sample::LogitRules* rules = rules_of(*part.slice, row);
  if (rules == nullptr || rules->is_empty()) return logits;
  if (ruled_of_ != logits.data()) {
    ruled_of_ = nullptr;  // should there be no memory
    ruled_ = rules->apply(logits, scratch_);
    ruled_of_ = logits.data();
  }
  return ruled_;
}

void RowAnswerer::draw(const AskedPart& part, size_t i) {
  const TokenRequest& request = part.slice->token_requests[i];
  const sample::DrawnToken drawn =
      sampler_.draw(ruled(part, request.row), request.sampler, sample::chance_of(request.key));
  part.result->tokens[i] = drawn.token;
  if (!request.wants_details) return;
  const std::vector<float> scores =
      sample::log_probabilities(row_at(part, request.row), std::span(&drawn.token, 1));
  part.result->details[next_detail_++] = {scores.front(), drawn.surprise};
}

void RowAnswerer::rank(const AskedPart& part, size_t i) {
  const DistributionRequest& request = part.slice->distribution_requests[i];
  part.result->distributions[i] =
      sampler_.rank(ruled(part, request.row), request.temperature, request.top_k);
}

void RowAnswerer::answer(const AskedPart& part) {
  const StepSlice& slice = *part.slice;
  SliceResult& result = *part.result;
  ruled_of_ = nullptr;
  next_detail_ = part.first_detail;
  for (size_t i = part.begin; i < part.end; ++i) {
    size_t at = i;
    // The next kind begins where this one ends.
    const auto is_of = [&at](size_t count) {
      if (at < count) return true;
      at -= count;
      return false;
    };
    if (is_of(slice.token_requests.size())) {
      draw(part, at);
    } else if (is_of(slice.distribution_requests.size())) {
      rank(part, at);
    } else if (is_of(slice.logit_requests.size())) {
      const LogitRequest& request = slice.logit_requests[at];
      result.logits[at] = sampler_.best(row_at(part, request.row), request.best);
    } else if (is_of(slice.score_requests.size())) {
      const ScoreRequest& request = slice.score_requests[at];
      result.scores[at] = sample::log_probabilities(row_at(part, request.row), request.tokens);
    } else {
      result.entropies[at] = sample::entropy(row_at(part, slice.entropy_rows[at]));
    }
  }
}

}  // namespace pie::exec
