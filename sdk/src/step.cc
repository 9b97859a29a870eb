// Context: steps, and what comes back of them.
#include <algorithm>
#include <utility>

#include "pie/context.h"

namespace inferlet {
namespace {

Result<void> check(const Draft& draft) {
  if (draft.is_tree() && draft.parents.size() != draft.tokens.size())
    return fail("[draft] got " + std::to_string(draft.parents.size()) + " parents, expected " +
                std::to_string(draft.tokens.size()) + ", one for each token");
  for (size_t i = 0; i < draft.parents.size(); ++i) {
    if (draft.parents[i] >= static_cast<int32_t>(i) || draft.parents[i] < -1)
      return fail("[draft] got the parent " + std::to_string(draft.parents[i]) + " of token " +
                  std::to_string(i) + ", expected -1 or the index of an earlier one");
  }
  return {};
}

}  // namespace

Context::StepWait::~StepWait() {
  if (!wait_) return;
  wait_.reset();
  context_.drop_step();
}

Result<void> Context::begin_rows(const Sampler& sampler, const Draft& draft,
                                 const Matcher* matcher) {
  if (auto checked = check(draft); !checked) return checked;
  if (auto prepared = prepare_step(); !prepared) return prepared;
  auto requested = request(sampler, draft);
  if (requested && matcher != nullptr)
    requested = matcher->constrain(pass_, static_cast<uint32_t>(pending_.size() - 1));
  if (!requested) {
    pass_ = ForwardPass(queue());  // what was asked before the mistake goes
    return requested;
  }
  step_ = submit(draft);
  return {};
}

/// The turns are written and a token is pending.
Result<void> Context::prepare_step() {
  if (auto written = write_turns(true); !written) return written;
  hold_last_token();
  leave_window();
  if (pending_.empty()) return fail("[step] got an empty context, expected a token: fill one in");
  return {};
}

Result<void> Context::begin_step(const Sampler& sampler) { return begin_rows(sampler, {}); }

void Context::drop_step() {
  step_.reset();
  if (guessed_ > 0) keep_slots(slots_.size() - std::exchange(guessed_, 0));
}

Result<uint32_t> Context::take_step(const Sampler& sampler) {
  if (!step_) return fail("[step] got end_step without begin_step");
  const Result<uint32_t> token = sampler.take(*step_);
  step_.reset();
  if (!token) return token;
  append_reply(std::span(&*token, 1));
  return token;
}

Result<uint32_t> Context::end_step(const Sampler& sampler) {
  if (step_) step_->wait();
  return take_step(sampler);
}

/// The tokens of the draft that were drawn, and one more.
Result<std::vector<uint32_t>> Context::end_rows(const Sampler& sampler, const Draft& draft,
                                                std::vector<uint32_t>* all_rows) {
  if (!step_) return fail("[step] got end_step without begin_step");
  Draws draws(sampler, *step_);
  if (all_rows != nullptr) all_rows->assign(draws.drawn().begin(), draws.drawn().end());
  step_.reset();
  std::vector<uint32_t> drawn;
  size_t in_place = 0;  // accepted tokens that lie where the context goes on
  for (int32_t node = -1;;) {
    const Result<uint32_t> token = draws.at(static_cast<size_t>(node + 1));
    if (!token) {
      drop_step();
      return fail(token.error());
    }
    drawn.push_back(*token);
    node = draft.child(node, *token);
    if (node < 0) break;
    if (node == static_cast<int32_t>(in_place) && in_place + 1 == drawn.size()) ++in_place;
  }
  keep_slots(slots_.size() - std::exchange(guessed_, 0) + in_place);
  next_position_ += static_cast<uint32_t>(in_place);
  if (!chat_.messages.empty())
    chat_.reply.insert(chat_.reply.end(), drawn.begin(),
                       drawn.begin() + static_cast<ptrdiff_t>(in_place));
  append_reply(std::span(drawn).subspan(in_place));
  return drawn;
}

void Context::append_reply(std::span<const uint32_t> tokens) {
  append_pending(tokens);
  if (!chat_.messages.empty()) chat_.reply.insert(chat_.reply.end(), tokens.begin(), tokens.end());
}

Result<void> Context::begin_distribution(float temperature, uint32_t top_k) {
  return begin_step(Sampler::distribution(temperature, top_k));
}

Result<Distribution> Context::take_distribution() {
  if (!step_) return fail("[step] got end_distribution without begin_distribution");
  std::optional<std::vector<Distribution>> distributions = step_->distributions();
  step_.reset();
  if (!distributions || distributions->empty()) return fail("[step] the pass gave no distribution");
  return std::move(distributions->front());
}

Result<Distribution> Context::end_distribution() {
  if (step_) step_->wait();
  return take_distribution();
}

Task<Result<Distribution>> Context::next_distribution(float temperature, uint32_t top_k) & {
  if (auto begun = begin_distribution(temperature, top_k); !begun) co_return fail(begun.error());
  co_await step_ready();
  co_return take_distribution();
}

Task<Result<std::vector<float>>> Context::next_logits() & {
  std::vector<float> all;
  const auto keep = [&](std::span<const float> logits) {
    all.assign(logits.begin(), logits.end());
    return uint32_t{0};
  };
  const Sampler sampler = Sampler::over_logits(keep);
  if (auto begun = begin_step(sampler); !begun) co_return fail(begun.error());
  co_await step_ready();
  if (!step_) co_return fail("[step] got another call before the logits were there");
  const Result<uint32_t> taken = sampler.take(*step_);
  step_.reset();
  if (!taken) co_return fail(taken.error());
  co_return all;
}

Task<Result<std::vector<float>>> Context::log_probabilities(std::vector<uint32_t> tokens) & {
  std::vector<float> all;
  if (tokens.empty()) co_return all;
  if (auto prepared = prepare_step(); !prepared) co_return fail(prepared.error());
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto asked = logits::output_log_probabilities(
        pass_, static_cast<uint32_t>(pending_.size() - 1 + i), std::span(tokens).subspan(i, 1));
    if (!asked) {
      pass_ = ForwardPass(queue());
      co_return fail(asked.error());
    }
  }
  step_ = submit({.tokens = std::move(tokens), .parents = {}});
  co_await step_ready();
  if (!step_) co_return fail("[step] got another call before the pass was done");
  const auto given = logits::log_probabilities(*step_);
  drop_step();
  if (!given) co_return fail("[step] the pass gave no log-probabilities");
  for (const ScoredTokens& one : *given) all.push_back(one.values.front());
  co_return all;
}

Task<Result<uint32_t>> Context::decode_step(Sampler sampler) & {
  if (auto begun = begin_step(sampler); !begun) co_return fail(begun.error());
  co_await step_ready();
  co_return take_step(sampler);
}

Task<Result<std::vector<uint32_t>>> Context::decode_step(Sampler sampler, Draft draft) & {
  co_return co_await draft_step(sampler, std::move(draft), nullptr);
}

Task<Result<std::vector<uint32_t>>> Context::draft_step(const Sampler& sampler, Draft draft,
                                                        std::vector<uint32_t>* all_rows) {
  if (!sampler.takes_drafts()) draft = {};
  if (auto begun = begin_rows(sampler, draft); !begun) co_return fail(begun.error());
  co_await step_ready();
  co_return end_rows(sampler, draft, all_rows);
}

}  // namespace inferlet
