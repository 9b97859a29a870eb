#include "decode/generation.h"

#include <algorithm>
#include <utility>

namespace pie::decode {
namespace {

std::vector<TokenId> all_of(const GenerationRequest& request) {
  std::vector<TokenId> tokens = request.context;
  tokens.insert(tokens.end(), request.pending.begin(), request.pending.end());
  return tokens;
}

}  // namespace

Generation::Generation(GenerationRequest request, const model::Tokenizer& tokenizer,
                       const EngineFacts& engine)
    : request_(std::move(request)),
      tokenizer_(tokenizer),
      engine_(engine),
      history_(request_.sampling, all_of(request_)),
      lookup_(std::max(request_.drafting.match_min, 1U)),
      draft_length_(std::min(request_.drafting.tokens_max, kDraftMax)),
      text_(request_.stop_texts),
      params_(request_.sampling.params),
      pending_(request_.pending),
      context_len_(request_.context_len),
      position_(request_.position) {
  if (const auto& mirostat = request_.sampling.mirostat)
    params_.surprise_max = mirostat->surprise_max.value_or(2 * mirostat->target);
  if (request_.drafting.tokens_max == 0) return;
  for (const auto& source : request_.drafting.sources) lookup_.add_source(source);
  for (const TokenId token : all_of(request_)) lookup_.append(token);
}

Result<std::unique_ptr<Generation>> Generation::create(GenerationRequest request,
                                                       const model::Tokenizer& tokenizer,
                                                       const EngineFacts& engine) {
  PIE_TRY(check_request(request, engine));
  return std::unique_ptr<Generation>(new Generation(std::move(request), tokenizer, engine));
}

uint32_t Generation::room() const {
  const uint64_t slots = uint64_t{request_.pages.size()} * engine_.page_size;
  return slots <= context_len_ ? 0 : static_cast<uint32_t>(slots - context_len_);
}

/// Tokens to try after what is pending; fewer than may still come, and than there is room for.
std::vector<TokenId> Generation::draft(size_t most) {
  std::vector<TokenId> tokens = proposal(most);
  if (tokens.size() > most) tokens.resize(most);
  const auto is_wrong = [&](TokenId token) { return token >= engine_.vocab_size; };
  tokens.erase(std::find_if(tokens.begin(), tokens.end(), is_wrong), tokens.end());
  if (request_.constraint) tokens.resize(request_.constraint->count_valid(tokens));
  return tokens;
}

std::vector<TokenId> Generation::proposal(size_t most) {
  is_suggestion_ = false;
  if (most == 0 || request_.sampling.mirostat) return {};  // a draw depends on the one before
  if (!suggested_.empty()) {
    is_suggestion_ = true;
    return {suggested_.begin(), suggested_.end()};
  }
  if (request_.drafting.tokens_max == 0) return {};
  const uint32_t others = step_tokens_ - std::min(step_tokens_, rows_);
  const size_t count = std::min<size_t>(most, draft_length_.next(others));
  if (count == 0) return {};
  if (request_.constraint) {
    auto forced = request_.constraint->forced();
    if (forced.size() > count) forced.resize(count);
    if (!forced.empty()) return forced;
  }
  return lookup_.look_up(count);
}

std::optional<engine::ForwardPass> Generation::next_pass() {
  if (end_) return std::nullopt;
  if (room() < pending_.size()) {
    stop(EndReason::kRoom);
    return std::nullopt;
  }
  const size_t most =
      std::min<size_t>({kDraftMax, room() - pending_.size(), request_.tokens_max - generated_ - 1});
  drafted_ = draft(most);
  Result<Rules> rules = rules_of_draft();
  if (!rules.ok()) {
    stop(EndReason::kFailed, rules.error().message);
    return std::nullopt;
  }
  engine::ForwardPass pass;
  for (const auto* part : {&pending_, &drafted_})
    for (const TokenId token : *part)
      pass.inputs.push_back(
          {.token = token, .position = position_ + static_cast<uint32_t>(pass.inputs.size())});
  pass.adapter = request_.adapter;
  set_pages(pass);
  set_mask(pass);
  for (size_t i = 0; i < rules->size(); ++i)
    add_outputs(pending_.size() - 1 + i, std::move((*rules)[i]), pass);
  ++counts_.passes;
  counts_.drafted += static_cast<uint32_t>(drafted_.size());
  rows_ = static_cast<uint32_t>(pass.inputs.size());
  return pass;
}

void Generation::set_pages(engine::ForwardPass& pass) const {
  const auto length = static_cast<uint32_t>(context_len_ + pass.inputs.size());
  const uint32_t count = (length + engine_.page_size - 1) / engine_.page_size;
  pass.pages.assign(request_.pages.begin(), request_.pages.begin() + count);
  pass.last_page_len = length - (count - 1) * engine_.page_size;
}

void Generation::set_mask(engine::ForwardPass& pass) const {
  if (std::holds_alternative<AttendAll>(request_.attention)) return;
  pass.mask.emplace();
  for (uint32_t i = 0; i < pass.inputs.size(); ++i)
    pass.mask->push_back(mask_row(context_len_ + i));
}

std::vector<uint32_t> Generation::mask_row(uint32_t slot) const {
  const uint32_t length = slot + 1;
  if (const auto* window = std::get_if<AttendWindow>(&request_.attention)) {
    const uint64_t seen = uint64_t{window->sink} + window->length;
    if (length <= seen) return {length};
    return {window->sink, static_cast<uint32_t>(length - seen), window->length};
  }
  std::vector<uint32_t> row = std::get<AttendRuns>(request_.attention).runs;
  uint64_t covered = 0;
  for (const uint32_t run : row) covered += run;
  // Slots beyond the runs are masked up to the generation's first one.
  const bool ends_attending = row.size() % 2 == 1;
  const auto masked = static_cast<uint32_t>(request_.context_len - covered);
  if (masked == 0 && ends_attending) {
    row.back() += length - request_.context_len;
    return row;
  }
  if (ends_attending) {
    row.push_back(masked);
  } else if (row.empty()) {
    row = {0, masked};
  } else {
    row.back() += masked;
  }
  row.push_back(length - request_.context_len);
  return row;
}

/// What is done to the logits of the last pending token and of each token of the draft, as if those
/// before had come. A draft ends before the token that nothing may follow: it is drawn.
Result<Generation::Rules> Generation::rules_of_draft() {
  Constraint* const constraint = request_.constraint.get();
  Rules all;
  for (size_t i = 0; i <= drafted_.size(); ++i) {
    std::shared_ptr<sample::LogitRules> rules = history_.after(std::span(drafted_).first(i));
    if (constraint != nullptr) {
      if (i > 0) PIE_TRY(constraint->accept(std::span(drafted_).subspan(i - 1, 1)));
      if (i > 0 && constraint->is_complete()) {
        PIE_TRY(constraint->rollback(1));
        drafted_.resize(i - 1);
        break;
      }
      if (!rules) rules = std::make_shared<sample::LogitRules>();
      PIE_TRY_ASSIGN(rules->allowed, constraint->mask());
    }
    all.push_back(std::move(rules));
  }
  if (constraint != nullptr && !drafted_.empty()) PIE_TRY(constraint->rollback(drafted_.size()));
  return all;
}

void Generation::add_outputs(size_t row, std::shared_ptr<sample::LogitRules> rules,
                             engine::ForwardPass& pass) const {
  const auto index = static_cast<uint32_t>(row);
  if (rules) pass.rules.push_back({index, std::move(rules)});
  const bool wants_details = request_.wants_details || request_.sampling.mirostat;
  pass.tokens.push_back(
      {.index = index,
       .sampler = params_,
       .draw = engine::SeededDraw{request_.sampling.seed, uint64_t{position_} + index + 1},
       .wants_details = wants_details});
  if (request_.ranked > 0)
    pass.distributions.push_back({.index = index, .temperature = 1.0F, .top_k = request_.ranked});
}

void Generation::take(engine::ForwardOutput output) {
  if (end_) return;
  step_tokens_ = output.step_tokens;
  size_t right = 0;  // tokens of the draft that were drawn, too
  const auto before = static_cast<uint32_t>(pending_.size());
  for (size_t slot = 0; slot < output.tokens.size(); ++slot) {
    const TokenId token = output.tokens[slot];
    const bool goes_on = accept(token, slot, output);
    if (!goes_on || slot >= drafted_.size() || drafted_[slot] != token) break;
    ++right;
  }
  const auto computed = static_cast<uint32_t>(before + right);
  context_len_ += computed;
  position_ += computed;
  counts_.accepted += static_cast<uint32_t>(right);
  if (!drafted_.empty() && !is_suggestion_)
    draft_length_.tried(static_cast<uint32_t>(drafted_.size()), static_cast<uint32_t>(right));
  if (!end_ && generated_ >= request_.tokens_max) stop(EndReason::kTokensMax);
  if (end_) end_->context_len = context_len_;
}

bool Generation::accept(TokenId token, size_t slot, engine::ForwardOutput& output) {
  ++generated_;
  pending_ = {token};
  history_.append(token);
  if (request_.drafting.tokens_max > 0) lookup_.append(token);
  if (!suggested_.empty() && suggested_.front() == token)
    suggested_.pop_front();
  else
    suggested_.clear();
  piece_.tokens.push_back(token);
  if (slot < output.details.size()) {
    if (request_.wants_details) piece_.details.push_back(output.details[slot]);
    if (request_.sampling.mirostat) adapt_surprise(output.details[slot].surprise);
  }
  if (slot < output.distributions.size())
    piece_.ranked.push_back(std::move(output.distributions[slot]));
  const auto& stops = request_.stop_tokens;
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
    stop(EndReason::kStopToken);
    return false;
  }
  piece_.text += text_.push(tokenizer_.token_bytes(token));
  if (text_.found()) {
    stop(EndReason::kStopText, *text_.found());
    return false;
  }
  if (request_.constraint) {
    if (const auto done = request_.constraint->accept({&token, 1}); !done.ok()) {
      stop(EndReason::kFailed, done.error().message);
      return false;
    }
    if (request_.constraint->is_complete()) {
      stop(EndReason::kComplete);
      return false;
    }
  }
  return generated_ < request_.tokens_max;
}

void Generation::adapt_surprise(float surprise) {
  const Mirostat& mirostat = *request_.sampling.mirostat;
  params_.surprise_max =
      std::max(kSurpriseMin, params_.surprise_max - mirostat.rate * (surprise - mirostat.target));
  piece_.surprise_max.push_back(params_.surprise_max);
}

void Generation::suggest(uint32_t generated, std::vector<TokenId> tokens) {
  suggested_.clear();
  if (generated != generated_) return;
  suggested_.assign(tokens.begin(), tokens.end());
}

void Generation::stop(EndReason reason, std::string message) {
  if (end_) return;
  if (reason != EndReason::kStopText) piece_.text += text_.finish();
  end_ = GenerationEnd{.reason = reason,
                       .message = std::move(message),
                       .tokens = generated_,
                       .context_len = context_len_,
                       .passes = counts_.passes,
                       .drafted = counts_.drafted,
                       .accepted = counts_.accepted};
}

Piece Generation::take_piece() { return std::exchange(piece_, {}); }

}  // namespace pie::decode
