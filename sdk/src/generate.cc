// Context: answers, in the engine's own loop or step by step.
#include <algorithm>
#include <utility>

#include "pie/context.h"
#include "pie/text_stream.h"

namespace inferlet {
namespace {

/// So many tokens the engine goes on by itself; the pages for them are taken before.
constexpr size_t kTokensAhead = 128;
/// What pie:decode takes.
constexpr size_t kStopsMax = 64, kStopTextBytesMax = 1024;

}  // namespace

/// An answer on its way: what of it is text for certain goes to whoever wants it.
class Context::Answer {
 public:
  Answer(const Tokenizer& tokenizer, OnText on_text)
      : stream_(tokenizer), on_text_(std::move(on_text)) {}
  std::vector<uint32_t> tokens;

  bool is_shown() const { return static_cast<bool>(on_text_); }
  void show_until(size_t count) {
    for (; shown_ < count; ++shown_) show(stream_.push(tokens[shown_]));
  }
  std::string finish() {
    show(stream_.finish());
    return std::move(text_);
  }

 private:
  void show(const std::string& text) {
    text_ += text;
    if (on_text_ && !text.empty()) on_text_(text);
  }

  TextStream stream_;
  OnText on_text_;
  std::string text_;
  size_t shown_ = 0;
};

/// The engine's loop while an answer comes of it; ends it, and keeps the tokens that came.
class Context::EngineRun {
 public:
  EngineRun(Context& context, const Stop& stop, Answer& answer)
      : context_(context), stop_(stop), answer_(answer) {}
  EngineRun(const EngineRun&) = delete;
  EngineRun& operator=(const EngineRun&) = delete;
  ~EngineRun() {
    if (!verdict_.stop) {
      context_.generation_->cancel();
      take();
    }
    context_.end_generation();
  }

  /// How many tokens came since the last call; those behind the end of the answer are nobody's.
  size_t take() {
    const GenerationPiece piece = context_.generation_->read();
    for (const uint32_t token : piece.tokens) {
      if (verdict_.stop) break;
      context_.take_generated(token);
      answer_.tokens.push_back(token);
      verdict_ = stop_.check(answer_.tokens);
    }
    return piece.tokens.size();
  }
  const Stop::Verdict& verdict() const { return verdict_; }

 private:
  Context& context_;
  const Stop& stop_;
  Answer& answer_;
  Stop::Verdict verdict_;
};

/// The next tokens of the answer as the engine's own loop takes them; none where it has no words
/// for what is asked. A token is pending.
std::optional<GenerationRequest> Context::engine_request(const Sampler& sampler, const Stop& stop,
                                                         const Answer& answer) const {
  if (stop.asks_program() || std::ranges::any_of(pending_, &Slot::masked)) return std::nullopt;
  const size_t count = std::min(
      {stop.tokens_max() - answer.tokens.size(), kTokensAhead, std::max<size_t>(room(), 1)});
  auto sampling = sampler.for_engine(size() + count);
  if (!sampling) return std::nullopt;
  GenerationRequest request;
  request.sampling = std::move(*sampling);
  request.tokens_max = static_cast<uint32_t>(count);
  request.wake_tokens = answer.is_shown() ? 1 : request.tokens_max;
  request.context_length = static_cast<uint32_t>(slots_.size());
  request.position = pending_.front().position;
  for (const Slot& slot : slots_) request.context.push_back(slot.token);
  for (const Slot& slot : pending_) request.pending.push_back(slot.token);
  if (has_masked_) request.attention_runs = slot_runs();
  // What it ends at is looked at again here; where it does not know an end, it only ends later.
  for (const auto& sequence : stop.sequences()) {
    if (sequence.size() == 1) {
      if (request.stop_tokens.size() < kStopsMax) request.stop_tokens.push_back(sequence.front());
      continue;
    }
    std::string text = tokenizer().detokenize(sequence);
    if (request.stop_texts.size() < kStopsMax && text.size() <= kStopTextBytesMax)
      request.stop_texts.push_back(std::move(text));
  }
  return request;
}

Result<void> Context::begin_generation(GenerationRequest request) {
  take_pages(size() + request.tokens_max);
  request.pages = page_numbers_;
  Result<Generation> started = Generation::start(queue(), request);
  if (!started) {
    end_generation();
    return fail(started.error());
  }
  generation_.emplace(std::move(*started));
  slots_.insert(slots_.end(), pending_.begin(), pending_.end());
  pending_.clear();
  return {};
}

/// The token before it is computed.
void Context::take_generated(uint32_t token) {
  slots_.insert(slots_.end(), pending_.begin(), pending_.end());
  pending_.clear();
  append_reply(std::span(&token, 1));
}

/// Gives back the pages that it did not come to.
void Context::end_generation() {
  generation_.reset();
  const size_t page_size = shared_->pages->page_size();
  const size_t page_count = (slots_.size() + page_size - 1) / page_size;
  pages_.resize(page_count);
  page_numbers_.resize(page_count);
}

/// Until the answer ends, or the engine has no pages to go on.
Task<Result<Stop::Verdict>> Context::run_in_engine(GenerationRequest request, const Stop& stop,
                                                   Answer& answer) {
  if (auto begun = begin_generation(std::move(request)); !begun) co_return fail(begun.error());
  const size_t before = answer.tokens.size();
  EngineRun run(*this, stop, answer);
  loop::Wait wait(generation_->pollable());
  while (!run.verdict().stop) {
    co_await wait;
    const auto end = generation_->end();
    run.take();
    answer.show_until(answer.tokens.size() - run.verdict().withheld);
    if (!end) continue;
    if (end->reason == GenerationEnd::Reason::kFailed || answer.tokens.size() == before)
      co_return fail("[generate] the engine gave no more tokens: " + end->message);
    break;
  }
  co_return run.verdict();
}

Task<Result<std::string>> Context::generate(Sampler sampler, Stop stop, OnText on_text) & {
  Answer answer(tokenizer(), std::move(on_text));
  Stop::Verdict verdict = stop.check(answer.tokens);
  while (!verdict.stop) {
    if (auto prepared = prepare_step(); !prepared) co_return fail(prepared.error());
    auto request = engine_request(sampler, stop, answer);
    if (!request) break;
    auto ran = co_await run_in_engine(std::move(*request), stop, answer);
    if (!ran) co_return fail(ran.error());
    verdict = *ran;
  }
  if (verdict.stop) co_return answer.finish();
  if (auto begun = begin_step(sampler); !begun) co_return fail(begun.error());
  while (!verdict.stop) {
    co_await step_ready();
    const Result<uint32_t> token = take_step(sampler);
    if (!token) co_return fail(token.error());
    answer.tokens.push_back(*token);
    verdict = stop.check(answer.tokens);
    // The model works on the next token while this one is written out.
    if (!verdict.stop) {
      if (auto begun = begin_step(sampler); !begun) co_return fail(begun.error());
    }
    answer.show_until(answer.tokens.size() - verdict.withheld);
  }
  co_return answer.finish();
}

/// Forgets the last `count` tokens that were generated.
void Context::take_back(size_t count) {
  if (count == 0) return;
  keep(size() - count);
  chat_.reply.resize(chat_.reply.size() - std::min(count, chat_.reply.size()));
}

Task<Result<std::string>> Context::generate(Sampler sampler, Stop stop, Drafter& drafter,
                                            OnText on_text) & {
  Answer answer(tokenizer(), std::move(on_text));
  Stop::Verdict verdict = stop.check(answer.tokens);
  if (verdict.stop) co_return std::string();
  if (auto opened = open_answer(); !opened) co_return fail(opened.error());
  std::vector<uint32_t> all = tokens();
  while (!verdict.stop) {
    Draft draft = co_await drafter.draft(all);
    const size_t proposed = draft.tokens.size();
    const auto drawn = co_await decode_step(sampler, std::move(draft));
    if (!drawn) co_return fail(drawn.error());
    drafter.learn(proposed, drawn->size() - 1);
    size_t used = 0;
    while (used < drawn->size() && !verdict.stop) {
      answer.tokens.push_back((*drawn)[used++]);
      verdict = stop.check(answer.tokens);
    }
    take_back(drawn->size() - used);
    all.insert(all.end(), drawn->begin(), drawn->begin() + static_cast<ptrdiff_t>(used));
    answer.show_until(answer.tokens.size() - verdict.withheld);
  }
  co_return answer.finish();
}

}  // namespace inferlet
