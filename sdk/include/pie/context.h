#pragma once
#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pie/adapter.h"
#include "pie/chat.h"
#include "pie/draft.h"
#include "pie/flush.h"
#include "pie/forward.h"
#include "pie/generation.h"
#include "pie/kv_pages.h"
#include "pie/model.h"
#include "pie/sampler.h"
#include "pie/snapshot.h"
#include "pie/stop.h"
#include "pie/task.h"

namespace inferlet {

/// A sequence of tokens and its KV pages. Tokens that are filled in wait ("pending") until flush()
/// or the next step computes them; turns of a conversation wait until then to be written by the
/// model's chat template.
class Context {
 public:
  /// An empty context of the default model (or of the one named), on a queue of its own.
  static Result<Context> create();
  static Result<Context> create(std::string_view model_name);

  Context(Context&&) = default;
  Context& operator=(Context&&) = default;

  const Model& model() const { return shared_->model; }
  const Tokenizer& tokenizer() const { return shared_->tokenizer; }
  Queue& queue() { return shared_->pages->queue(); }

  /// Text as it is, special tokens included. While the assistant answers it is part of the answer.
  /// At the beginning of an empty context the token goes before it that the model expects there
  /// (ModelInfo::adds_bos), unless the text has it. So it does before the first turn.
  Result<void> fill(std::string_view text);
  /// Tokens as they are: none is added.
  Result<void> fill_tokens(std::span<const uint32_t> tokens);
  /// Turns of a conversation.
  void fill_system(std::string text) { fill_turn("system", std::move(text)); }
  void fill_user(std::string text) { fill_turn("user", std::move(text)); }
  void fill_assistant(std::string text) { fill_turn("assistant", std::move(text)); }

  /// Hands what is pending to the model. Does not wait: later commands come after it. `co_await`
  /// the result to wait until all of it is computed.
  Flushed flush();
  /// Writes the turns that wait and opens the assistant's, so that size() counts all that the next
  /// step will see.
  Result<void> open_answer() { return write_turns(true); }
  /// The context becomes this text (special tokens included): what it has in common with it stays
  /// computed. Turns that were filled in are text of it from now on.
  Result<void> become(std::string_view text);
  /// Tokens until the model's context length; 0 beyond it.
  size_t room() const {
    return shared_->info.context_length > size() ? shared_->info.context_length - size() : 0;
  }

  // Tasks of a context: it is neither moved nor destroyed while one of them is under way, and has
  // one at a time. A task that is dropped leaves the context as if its last step had not been asked
  // for.

  /// One token: everything pending is computed, the next token chosen, and left pending. When
  /// nothing is (after flush, save, load or a distribution) the last token is computed again.
  Task<Result<uint32_t>> decode_step(Sampler sampler) &;
  /// The same with a guess of what comes: the tokens of the draft that were drawn as well, and one
  /// more, by one pass. They are drawn as without a draft.
  Task<Result<std::vector<uint32_t>>> decode_step(Sampler sampler, Draft draft) &;
  /// The distribution over the next token: the `top_k` best of softmax(logits / temperature).
  /// Appends nothing; go on with fill_tokens.
  Task<Result<Distribution>> next_distribution(float temperature, uint32_t top_k) &;
  /// The model's logits for the next token, by token. Appends nothing either.
  Task<Result<std::vector<float>>> next_logits() &;

  /// What the model says of these tokens to come next, one after the other, by one pass: natural
  /// logarithms. Appends nothing.
  Task<Result<std::vector<float>>> log_probabilities(std::vector<uint32_t> tokens) &;

  /// The model's answer, until `stop`. `on_text` gets it piece by piece, in whole characters, while
  /// the next token is computed; it must not touch the context. Where the sampler and the stop
  /// condition ask nothing of the program, the engine goes from token to token by itself
  /// (pie/generation.h), with drafts that change none; the answer is the same either way.
  using OnText = std::function<void(std::string_view)>;
  Task<Result<std::string>> generate(Sampler sampler, Stop stop, OnText on_text = {}) &;
  /// What an answer holds to, and what is told of it.
  struct AnswerOptions {
    OnText on_text = {};
    /// It is what the matcher lets come, which goes along: `is_complete()` says afterwards whether
    /// it came to its end. It outlives the task. Ends of the model's turn end it as well.
    Matcher* matcher = nullptr;
    bool log_probabilities = false;  ///< where the engine runs it; an error elsewhere
  };
  struct Generated {
    std::string text;
    std::vector<uint32_t> tokens;          ///< all that came, those included that ended it
    std::vector<float> log_probabilities;  ///< of them, when that was asked for
    size_t passes = 0;                     ///< of the model
  };
  Task<Result<Generated>> generate(Sampler sampler, Stop stop, AnswerOptions options) &;
  /// A user's turn, and the answer.
  Task<Result<std::string>> ask(std::string question, Sampler sampler, Stop stop,
                                OnText on_text = {}) &;

  /// The same in steps of several tokens; the drafter outlives the task.
  Task<Result<std::string>> generate(Sampler sampler, Stop stop, Drafter& drafter,
                                     OnText on_text = {}) &;

  /// A step in two halves. Between the two the context must not be touched, but a step may be
  /// dropped. `co_await context.step_ready()` before the second half lets other tasks go on.
  Result<void> begin_step(const Sampler& sampler);
  Result<uint32_t> end_step(const Sampler& sampler);
  Result<void> begin_distribution(float temperature, uint32_t top_k);
  Result<Distribution> end_distribution();
  class StepWait;
  StepWait step_ready();
  void drop_step();

  /// What is computed from now on is computed under this adapter (null: none), as it is at each
  /// step, or each time that `generate` hands tokens to the engine; with a seed, under that
  /// candidate of it. What was computed stays as it is. Forks have it, too.
  void set_adapter(std::shared_ptr<const Adapter> adapter, std::optional<int64_t> seed = {});

  /// A second context that goes on from here. Full pages are shared; the tokens of the last,
  /// partly filled page are pending in the new one and computed again.
  Context fork() const;

  /// Keeps what is computed, what is pending included, on disk under a name of the user's, in place
  /// of what had that name; returns when it is there. Not with masked or dropped tokens.
  Result<void> save(std::string_view name, const SnapshotOptions& options = {});
  /// A context of the default model that goes on where one was saved. Turns of a conversation begin
  /// anew: go on with fill and fill_tokens.
  static Result<Context> load(std::string_view name);

  /// Gives the computed pages a name of the user's, for as long as the server runs or until
  /// release_export; other instances go on from there without computing anything, and never see
  /// each other's tokens. Not with masked or dropped tokens; an error when the name is in use.
  Result<void> export_as(std::string_view name);
  /// A context of the default model that goes on where one was exported.
  static Result<Context> import(std::string_view name);

  /// The number of tokens, pending ones included (turns that wait are not tokens yet).
  size_t size() const { return slots_.size() + pending_.size(); }
  std::vector<uint32_t> tokens() const;
  /// Those of them that are not masked.
  size_t attended() const {
    return size() - static_cast<size_t>(std::ranges::count_if(slots_, &Slot::masked) +
                                        std::ranges::count_if(pending_, &Slot::masked));
  }
  size_t kv_page_count() const { return pages_.size(); }

  /// Later tokens do not attend to tokens [begin, end) of this context any more (or do again).
  void mask_token_range(size_t begin, size_t end) { set_masked(begin, end, true); }
  void unmask_token_range(size_t begin, size_t end) { set_masked(begin, end, false); }
  /// From now on a token attends to the first `sink` tokens and to the last `length`, itself
  /// included, however long the text gets; full pages between the two go back.
  void attend_to_window(size_t sink, size_t length) {
    window_ = {sink, std::max<size_t>(length, 1)};
  }
  /// The next token gets this position, those after it the ones behind it.
  void set_position(size_t position) { next_position_ = static_cast<uint32_t>(position); }
  size_t position() const { return next_position_; }
  /// What `other` has computed (`co_await other.flush()`) follows here, by its own positions, and
  /// shares its pages. Both have
  /// full pages alone and nothing pending. The next token comes behind both.
  Result<void> join(const Context& other);
  /// Gives back the full pages whose tokens are all masked; the tokens go with them, the others
  /// keep their positions. Returns how many pages went.
  size_t drop_masked_pages();

 private:
  struct Slot {
    uint32_t token = 0;
    uint32_t position = 0;
    bool masked = false;
  };
  struct Shared {
    Model model;
    Tokenizer tokenizer;
    std::shared_ptr<KvPages> pages;
    std::vector<std::string> stop_tokens;
    ModelInfo info;
  };
  /// The conversation as far as it was written into the context.
  struct Chat {
    std::vector<ChatMessage> messages;
    std::string written;          ///< template output and answers, as text
    std::vector<uint32_t> reply;  ///< tokens generated since the last turn
    size_t begin = 0;             ///< tokens of the context before the conversation
    bool is_whole = true;         ///< none of its tokens were dropped
    bool has_new_turns = false;
    bool is_prompted = false;  ///< the assistant's turn is open
  };

  class Answer;
  static Result<Context> create(Model model);
  explicit Context(std::shared_ptr<Shared> shared);

  void fill_turn(std::string role, std::string text);
  Result<void> write_turns(bool add_generation_prompt);
  void close_reply();
  void take_back(size_t count);
  Result<void> begin_rows(const Sampler& sampler, const Draft& draft,
                          const Matcher* matcher = nullptr);
  Task<Result<void>> answer_in_engine(const Sampler& sampler, const Stop& stop, Answer& answer);
  Task<Result<void>> answer_by_steps(const Sampler& sampler, Answer& answer);
  Result<std::vector<uint32_t>> end_rows(const Sampler& sampler, const Draft& draft,
                                         std::vector<uint32_t>* all_rows = nullptr);
  Task<Result<std::vector<uint32_t>>> draft_step(const Sampler& sampler, Draft draft,
                                                 std::vector<uint32_t>* all_rows);
  Result<uint32_t> take_step(const Sampler& sampler);
  Result<Distribution> take_distribution();
  Result<void> check_whole(std::string_view what, size_t begin) const;
  void adopt(std::span<const uint32_t> page_numbers, std::span<const uint32_t> tokens);
  void append_reply(std::span<const uint32_t> tokens);
  void append_pending(std::span<const uint32_t> tokens);
  std::vector<uint32_t> tokens_at_end(std::string_view text) const;
  void keep(size_t count);
  void keep_slots(size_t count);
  void hold_last_token();
  void rewrite_turns(const std::string& rendered);
  void become(std::span<const uint32_t> wanted);
  Result<void> prepare_step();
  Result<void> request(const Sampler& sampler, const Draft& draft);
  std::optional<PassResult> submit(const Draft& draft);
  std::vector<std::vector<uint32_t>> mask_rows(const Draft& draft) const;
  std::vector<uint32_t> slot_runs() const;
  void take_pages(size_t slots);
  void leave_window();
  size_t drop_pages(const std::function<bool(size_t)>& is_dispensable);
  bool is_outside_window(size_t slot, size_t row) const;
  class EngineRun;
  std::optional<GenerationRequest> engine_request(const Sampler& sampler, const Stop& stop,
                                                  const Answer& answer) const;
  Result<void> begin_generation(GenerationRequest request, const Matcher* matcher);
  void take_generated(uint32_t token);
  void end_generation();
  Task<Result<void>> run_in_engine(GenerationRequest request, const Sampler& sampler,
                                   Answer& answer);
  void set_masked(size_t begin, size_t end, bool masked);

  std::shared_ptr<Shared> shared_;
  ForwardPass pass_;
  std::shared_ptr<const Adapter> adapter_;  ///< may be null
  std::optional<int64_t> adapter_seed_;
  std::vector<std::shared_ptr<const KvPage>> pages_;
  std::vector<uint32_t> page_numbers_;  ///< of pages_, as the host takes them
  std::vector<Slot> slots_;             ///< computed tokens, one per slot of the pages
  std::vector<Slot> pending_;
  uint32_t next_position_ = 0;
  bool has_masked_ = false;
  struct Window {
    size_t sink, length;
  };
  std::optional<Window> window_;
  std::optional<PassResult> step_;
  std::optional<Generation> generation_;
  size_t guessed_ = 0;  ///< of the last slots, how many are the draft of the step
  Chat chat_;
};

/// Waits until the second half of a step does not. Dropped before, it drops the step.
class Context::StepWait {
 public:
  explicit StepWait(Context& context) : context_(context) {}
  StepWait(const StepWait&) = delete;
  StepWait& operator=(const StepWait&) = delete;
  ~StepWait();
  bool await_ready() const { return !context_.step_; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    wait_.emplace(context_.step_->pollable()).begin(waiter.promise());
  }
  void await_resume() { wait_.reset(); }

 private:
  Context& context_;
  std::optional<loop::Wait> wait_;
};

inline Context::StepWait Context::step_ready() { return StepWait(*this); }

/// Context::ask of a fork, say, which goes with the task.
Task<Result<std::string>> ask(Context context, std::string question, Sampler sampler, Stop stop);

}  // namespace inferlet
