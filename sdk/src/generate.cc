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
  Answer(const Tokenizer& tokenizer, const Stop& stop, AnswerOptions options)
      : stream_(tokenizer), stop_(stop), options_(std::move(options)) {
    verdict_ = stop_.check(tokens);
  }
  std::vector<uint32_t> tokens;
  std::vector<float> log_probabilities;
  size_t passes = 0;

  const AnswerOptions& options() const { return options_; }
  bool is_shown() const { return static_cast<bool>(options_.on_text); }
  bool has_ended() const { return verdict_.stop; }
  /// A token that came, and whether it ends the answer.
  Result<void> add(uint32_t token) {
    tokens.push_back(token);
    verdict_ = stop_.check(tokens);
    if (options_.matcher == nullptr) return {};
    auto accepted = options_.matcher->accept(token);
    if (!accepted && !verdict_.stop) return accepted;
    if (!verdict_.stop && options_.matcher->is_complete()) verdict_ = {.stop = true};
    return {};
  }
  void show() {
    for (; shown_ < tokens.size() - verdict_.withheld; ++shown_) show(stream_.push(tokens[shown_]));
  }
  std::string finish() {
    show();
    show(stream_.finish());
    return std::move(text_);
  }

 private:
  void show(const std::string& text) {
    text_ += text;
    if (is_shown() && !text.empty()) options_.on_text(text);
  }

  TextStream stream_;
  const Stop& stop_;
  AnswerOptions options_;
  Stop::Verdict verdict_;
  std::string text_;
  size_t shown_ = 0;
};

/// The engine's loop while an answer comes of it; ends it, and keeps the tokens that came.
class Context::EngineRun {
 public:
  EngineRun(Context& context, const Sampler& sampler, Answer& answer)
      : context_(context), sampler_(sampler), answer_(answer) {}
  EngineRun(const EngineRun&) = delete;
  EngineRun& operator=(const EngineRun&) = delete;
  ~EngineRun() {
    if (!answer_.has_ended()) {
      context_.generation_->cancel();
      (void)take();
    }
    context_.end_generation();
  }

  /// Those behind the end of the answer are nobody's.
  Result<void> take() {
    const GenerationPiece piece = context_.generation_->read();
    for (size_t i = 0; i < piece.tokens.size() && !answer_.has_ended(); ++i) {
      context_.take_generated(piece.tokens[i]);
      if (i < piece.surprise_max.size()) sampler_.set_surprise_max(piece.surprise_max[i]);
      if (i < piece.log_probabilities.size())
        answer_.log_probabilities.push_back(piece.log_probabilities[i]);
      if (auto added = answer_.add(piece.tokens[i]); !added) return added;
    }
    return {};
  }

 private:
  Context& context_;
  const Sampler& sampler_;
  Answer& answer_;
};

/// The next tokens of the answer as the engine's own loop takes them; none where it has no words
/// for what is asked. A token is pending.
std::optional<GenerationRequest> Context::engine_request(const Sampler& sampler, const Stop& stop,
                                                         const Answer& answer) const {
  if (stop.asks_program() || std::ranges::any_of(pending_, &Slot::masked)) return std::nullopt;
  for (size_t i = 0; i < pending_.size(); ++i)
    if (pending_[i].position + pending_.size() - i != next_position_) return std::nullopt;
  const size_t count = std::min(
      {stop.tokens_max() - answer.tokens.size(), kTokensAhead, std::max<size_t>(room(), 1)});
  auto sampling = sampler.for_engine(size() + count);
  if (!sampling) return std::nullopt;
  GenerationRequest request;
  request.sampling = std::move(*sampling);
  request.tokens_max = static_cast<uint32_t>(count);
  request.wake_tokens = answer.is_shown() ? 1 : request.tokens_max;
  request.log_probabilities = answer.options().log_probabilities;
  request.context_length = static_cast<uint32_t>(slots_.size());
  request.position = pending_.front().position;
  request.adapter = adapter_;
  request.adapter_seed = adapter_seed_;
  for (const Slot& slot : slots_) request.context.push_back(slot.token);
  for (const Slot& slot : pending_) request.pending.push_back(slot.token);
  if (window_) {
    if (has_masked_) return std::nullopt;
    request.window = {static_cast<uint32_t>(window_->sink), static_cast<uint32_t>(window_->length)};
  } else if (has_masked_) {
    request.attention_runs = slot_runs();
  }
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

Result<void> Context::begin_generation(GenerationRequest request, const Matcher* matcher) {
  take_pages(size() + request.tokens_max);
  request.pages = page_numbers_;
  Result<Generation> started = matcher == nullptr ? Generation::start(queue(), request)
                                                  : Generation::start(queue(), request, *matcher);
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
Task<Result<void>> Context::run_in_engine(GenerationRequest request, const Sampler& sampler,
                                          Answer& answer) {
  const Matcher* matcher = answer.options().matcher;
  if (auto begun = begin_generation(std::move(request), matcher); !begun) co_return begun;
  const size_t before = answer.tokens.size();
  EngineRun run(*this, sampler, answer);
  loop::Wait wait(generation_->pollable());
  std::optional<GenerationEnd> end;
  while (!end) {
    co_await wait;
    end = generation_->end();
    if (auto taken = run.take(); !taken) co_return taken;
    answer.show();
    // Where the program saw the end first, the engine is told of it.
    if (answer.has_ended() && !end) generation_->cancel();
  }
  answer.passes += end->passes;
  if (!answer.has_ended() &&
      (end->reason == GenerationEnd::Reason::kFailed || answer.tokens.size() == before))
    co_return fail("[generate] the engine gave no more tokens: " + end->message);
  co_return Result<void>();
}

Task<Result<void>> Context::answer_in_engine(const Sampler& sampler, const Stop& stop,
                                             Answer& answer) {
  while (!answer.has_ended()) {
    if (auto prepared = prepare_step(); !prepared) co_return prepared;
    auto request = engine_request(sampler, stop, answer);
    if (!request) break;
    auto ran = co_await run_in_engine(std::move(*request), sampler, answer);
    if (!ran) co_return ran;
  }
  co_return Result<void>();
}

Task<Result<void>> Context::answer_by_steps(const Sampler& sampler, Answer& answer) {
  const Matcher* matcher = answer.options().matcher;
  if (answer.has_ended()) co_return Result<void>();
  if (answer.options().log_probabilities)
    co_return fail(
        "[generate] got log-probabilities of a sampler or stop condition that the "
        "engine's loop does not know, expected others");
  if (auto begun = begin_rows(sampler, {}, matcher); !begun) co_return begun;
  while (!answer.has_ended()) {
    co_await step_ready();
    const Result<uint32_t> token = take_step(sampler);
    if (!token) co_return fail(token.error());
    ++answer.passes;
    if (auto added = answer.add(*token); !added) co_return added;
    // The model works on the next token while this one is written out.
    if (!answer.has_ended()) {
      if (auto begun = begin_rows(sampler, {}, matcher); !begun) co_return begun;
    }
    answer.show();
  }
  co_return Result<void>();
}

Task<Result<Context::Generated>> Context::generate(Sampler sampler, Stop stop,
                                                   AnswerOptions options) & {
  if (options.matcher != nullptr) stop = std::move(stop) | Stop::end_of_turn(model());
  Answer answer(tokenizer(), stop, std::move(options));
  auto done = co_await answer_in_engine(sampler, stop, answer);
  if (done) done = co_await answer_by_steps(sampler, answer);
  if (!done) co_return fail(done.error());
  co_return Generated{.text = answer.finish(),
                      .tokens = std::move(answer.tokens),
                      .log_probabilities = std::move(answer.log_probabilities),
                      .passes = answer.passes};
}

Task<Result<std::string>> Context::generate(Sampler sampler, Stop stop, OnText on_text) & {
  auto generated =
      co_await generate(std::move(sampler), std::move(stop), {.on_text = std::move(on_text)});
  if (!generated) co_return fail(generated.error());
  co_return std::move(generated->text);
}

Task<Result<std::string>> Context::ask(std::string question, Sampler sampler, Stop stop,
                                       OnText on_text) & {
  fill_user(std::move(question));
  return generate(std::move(sampler), std::move(stop), std::move(on_text));
}

Task<Result<std::string>> ask(Context context, std::string question, Sampler sampler, Stop stop) {
  co_return co_await context.ask(std::move(question), std::move(sampler), std::move(stop));
}

/// Forgets the last `count` tokens that were generated.
void Context::take_back(size_t count) {
  if (count == 0) return;
  keep(size() - count);
  chat_.reply.resize(chat_.reply.size() - std::min(count, chat_.reply.size()));
}

Task<Result<std::string>> Context::generate(Sampler sampler, Stop stop, Drafter& drafter,
                                            OnText on_text) & {
  Answer answer(tokenizer(), stop, {.on_text = std::move(on_text)});
  if (answer.has_ended()) co_return std::string();
  if (auto opened = open_answer(); !opened) co_return fail(opened.error());
  std::vector<uint32_t> all = tokens(), rows;
  while (!answer.has_ended()) {
    Draft draft = co_await drafter.draft(all);
    const size_t proposed = draft.tokens.size();
    const auto drawn = co_await draft_step(sampler, std::move(draft), &rows);
    if (!drawn) co_return fail(drawn.error());
    drafter.see(rows);
    drafter.learn(proposed, drawn->size() - 1);
    size_t used = 0;
    while (used < drawn->size() && !answer.has_ended()) (void)answer.add((*drawn)[used++]);
    take_back(drawn->size() - used);
    all.insert(all.end(), drawn->begin(), drawn->begin() + static_cast<ptrdiff_t>(used));
    answer.show();
  }
  co_return answer.finish();
}

}  // namespace inferlet
