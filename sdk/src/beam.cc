#include "pie/beam.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace inferlet {
namespace {

struct Beam {
  Context context;
  std::vector<uint32_t> tokens;
  double score = 0.0;
};

struct Candidate {
  size_t beam;
  uint32_t token;
  double score;
};

/// The best continuations of all beams by one token, best first.
Task<Result<std::vector<Candidate>>> candidates(std::vector<Beam>& beams, size_t width) {
  for (Beam& beam : beams) {
    auto begun = beam.context.begin_distribution(1.0F, static_cast<uint32_t>(width));
    if (!begun) co_return fail(begun.error());
  }
  std::vector<Candidate> all;
  for (size_t i = 0; i < beams.size(); ++i) {
    co_await beams[i].context.step_ready();
    const Result<Distribution> next = beams[i].context.end_distribution();
    if (!next) co_return fail(next.error());
    for (size_t k = 0; k < next->ids.size(); ++k) {
      if (!(next->probabilities[k] > 0.0F)) continue;
      const double score = beams[i].score + std::log(static_cast<double>(next->probabilities[k]));
      all.push_back({i, next->ids[k], score});
    }
  }
  std::ranges::stable_sort(all, std::greater(), &Candidate::score);
  co_return all;
}

/// The `width` best candidates that go on; one that ends becomes `best` if it is better.
std::vector<Beam> survivors(std::vector<Beam>& beams, const std::vector<Candidate>& candidates,
                            size_t width, const Stop& stop, std::optional<BeamAnswer>& best) {
  std::vector<Candidate> chosen;
  for (const Candidate& candidate : candidates) {
    if (chosen.size() == width) break;
    std::vector<uint32_t> tokens = beams[candidate.beam].tokens;
    tokens.push_back(candidate.token);
    const Stop::Verdict verdict = stop.check(tokens);
    if (!verdict.stop) {
      chosen.push_back(candidate);
    } else if (!best || best->log_probability < candidate.score) {
      tokens.resize(tokens.size() - verdict.withheld);
      best = BeamAnswer{"", std::move(tokens), candidate.score};
    }
  }
  std::vector<Beam> kept;
  for (size_t i = 0; i < chosen.size(); ++i) {
    Beam& parent = beams[chosen[i].beam];
    // The last child takes the parent's context over; a fork would compute its last page again.
    const bool is_last =
        std::none_of(chosen.begin() + static_cast<ptrdiff_t>(i) + 1, chosen.end(),
                     [&](const Candidate& later) { return later.beam == chosen[i].beam; });
    Beam child{is_last ? std::move(parent.context) : parent.context.fork(), parent.tokens,
               chosen[i].score};
    child.tokens.push_back(chosen[i].token);
    kept.push_back(std::move(child));
  }
  return kept;
}

}  // namespace

Task<Result<BeamAnswer>> beam_search(const Context& start, size_t width, Stop stop) {
  if (width == 0) co_return fail("[beam search] got width 0, expected at least 1");
  std::vector<Beam> beams;
  beams.push_back({start.fork(), {}, 0.0});
  std::optional<BeamAnswer> best;
  if (stop.check({}).stop) best = BeamAnswer();
  while (!best || (!beams.empty() && beams.front().score > best->log_probability)) {
    const auto next = co_await candidates(beams, width);
    if (!next) co_return fail(next.error());
    std::vector<Beam> kept = survivors(beams, *next, width, stop, best);
    for (Beam& beam : kept) {
      if (auto filled = beam.context.fill_tokens(std::span(beam.tokens).last(1)); !filled) {
        co_return fail(filled.error());
      }
    }
    if (kept.empty() && !best)
      co_return fail("[beam search] the model gave no token to go on with");
    beams = std::move(kept);
  }
  best->text = start.tokenizer().detokenize(best->tokens);
  co_return std::move(*best);
}

}  // namespace inferlet
