#include <fmt/format.h>

#include <mutex>
#include <utility>

#include "decode/running_generation.h"
#include "host/adapter_pass.h"
#include "host/define.h"
#include "host/generation_request.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/matcher_constraint.h"
#include "host/matcher_object.h"
#include "host/objects.h"
#include "wasm/wait.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

constexpr const char* kGenerate = "pie:decode/generate";

using Ranking = std::tuple<std::vector<TokenId>, std::vector<float>>;

struct GuestPiece {
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<float> log_probabilities;
  std::vector<Ranking> ranked;
  std::vector<float> surprise_max;
};
constexpr auto wit_type(const GuestPiece*) {
  return wasm::record(wasm::field("text", &GuestPiece::text),
                      wasm::field("tokens", &GuestPiece::tokens),
                      wasm::field("log-probabilities", &GuestPiece::log_probabilities),
                      wasm::field("ranked", &GuestPiece::ranked),
                      wasm::field("surprise-max", &GuestPiece::surprise_max));
}

/// In the order of decode::EndReason.
enum class ReasonCase { kStopToken, kStopText, kComplete, kTokensMax, kRoom, kCancelled, kFailed };
constexpr auto wit_type(const ReasonCase*) {
  return wasm::enum_of("stop-token", "stop-text", "complete", "tokens-max", "room", "cancelled",
                       "failed");
}

struct GuestEnd {
  ReasonCase reason = ReasonCase::kFailed;
  std::string message;
  uint32_t tokens = 0, context_length = 0, passes = 0, drafted = 0, accepted = 0;
};
constexpr auto wit_type(const GuestEnd*) {
  return wasm::record(
      wasm::field("reason", &GuestEnd::reason), wasm::field("message", &GuestEnd::message),
      wasm::field("tokens", &GuestEnd::tokens),
      wasm::field("context-length", &GuestEnd::context_length),
      wasm::field("passes", &GuestEnd::passes), wasm::field("drafted", &GuestEnd::drafted),
      wasm::field("accepted", &GuestEnd::accepted));
}

/// What came of a generation and was not read yet. Filled on the engine thread.
class GenerationOutput final : public wasm::Readiness {
 public:
  explicit GenerationOutput(uint32_t wake_tokens) : wake_tokens_(wake_tokens) {}

  void add(decode::Piece piece) {
    bool is_enough = false;
    {
      const std::lock_guard lock(mutex_);
      unread_.text += piece.text;
      for (const TokenId token : piece.tokens) unread_.tokens.push_back(token);
      for (const engine::TokenDetails& one : piece.details)
        unread_.log_probabilities.push_back(one.log_probability);
      for (engine::Distribution& one : piece.ranked)
        unread_.ranked.emplace_back(std::move(one.ids), std::move(one.probabilities));
      for (const float one : piece.surprise_max) unread_.surprise_max.push_back(one);
      is_enough = unread_.tokens.size() >= wake_tokens_;
    }
    if (is_enough) fire();
  }
  void finish(const decode::GenerationEnd& end) {
    {
      const std::lock_guard lock(mutex_);
      end_ = {static_cast<ReasonCase>(end.reason),
              end.message,
              end.tokens,
              end.context_len,
              end.passes,
              end.drafted,
              end.accepted};
    }
    fire();
  }
  GuestPiece take() {
    const std::lock_guard lock(mutex_);
    if (!end_) reset();
    return std::exchange(unread_, {});
  }
  std::optional<GuestEnd> end() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }

 private:
  const uint32_t wake_tokens_;
  mutable std::mutex mutex_;
  GuestPiece unread_;
  std::optional<GuestEnd> end_;
};

struct GenerationObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:decode/generate/generation";
  GenerationObject(std::shared_ptr<QueueObject> queue_, Charge charge_,
                   const std::shared_ptr<HostMemory>& memory, uint32_t wake_tokens)
      : queue(std::move(queue_)),
        charge(std::move(charge_)),
        output(std::make_shared<GenerationOutput>(wake_tokens)),
        constraint_charge(memory) {}
  ~GenerationObject() override {
    if (running) running->cancel();
  }
  const std::shared_ptr<QueueObject> queue;
  const Charge charge;
  const std::shared_ptr<GenerationOutput> output;
  /// What the constraint has come to hold is charged to the program. Throws wasm::LimitError.
  void settle() {
    const uint64_t bytes = constraint ? constraint->bytes() : 0;
    if (bytes > constraint_charge.bytes()) constraint_charge.add(bytes - constraint_charge.bytes());
  }
  std::shared_ptr<MatcherConstraint> constraint;  ///< may be null
  Charge constraint_charge;
  std::shared_ptr<decode::RunningGeneration> running;
};

using Started = Result<std::shared_ptr<GenerationObject>>;

/// `constraint` and `adapter` may be null.
Started start_generation(InstanceState& state, const std::shared_ptr<QueueObject>& queue,
                         GuestRequest request, const std::shared_ptr<MatcherConstraint>& constraint,
                         model::AdapterRef adapter) {
  const ModelService& service = queue->service;
  bound_tokens(request, service.engine().page_size());
  const auto note = [note = state.context_note, &service](uint64_t length) {
    note->look(length, service);
  };
  const uint64_t begin = uint64_t{request.context_length} + request.pending.size();
  Charge charge(state.memory);
  PIE_TRY(charge.try_add(memory_bytes(request)));
  auto object = std::make_shared<GenerationObject>(queue, std::move(charge), state.memory,
                                                   request.wake_tokens);
  object->constraint = constraint;
  object->settle();
  PIE_TRY_ASSIGN(
      auto generation,
      decode::Generation::create(
          request_of(std::move(request), constraint, std::move(adapter)),
          service.model().tokenizer(),
          {.page_size = service.engine().page_size(), .vocab_size = service.info().vocab_size}));
  object->running = std::make_shared<decode::RunningGeneration>(
      service.engine(), queue->id, std::move(generation),
      decode::RunningGeneration::Listener{
          .piece =
              [output = object->output, note, length = begin](decode::Piece piece) mutable {
                note((length += piece.tokens.size()) - 1);  // the last one is not computed
                output->add(std::move(piece));
              },
          .end = [output =
                      object->output](const decode::GenerationEnd& end) { output->finish(end); },
          .failure = [ending = state.ending](const Error& error) { ending->fail(error); }},
      decode::SlowWork{&state.services.background, state.user, state.cpu_quota});
  note(begin);
  PIE_TRY(object->running->start());
  return object;
}

using GuestStarted = wasm::WitResult<std::shared_ptr<GenerationObject>, std::string>;

GuestStarted start(InstanceState& state, const std::shared_ptr<QueueObject>& queue,
                   GuestRequest request) {
  return start_generation(state, queue, std::move(request), nullptr, nullptr);
}

/// From the matcher's place.
Result<std::shared_ptr<MatcherConstraint>> constraint_of(const std::shared_ptr<QueueObject>& queue,
                                                         const MatcherObject& matcher) {
  const size_t size = matcher.matcher.grammar().vocabulary().size();
  if (const uint32_t vocab_size = queue->service.info().vocab_size; size != vocab_size)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[generate] got a grammar of a vocabulary of {} tokens, "
                             "expected one of the queue's model, of {}",
                             size, vocab_size)};
  return std::make_shared<MatcherConstraint>(matcher.matcher.fork());
}

GuestStarted start_constrained(InstanceState& state, const std::shared_ptr<QueueObject>& queue,
                               GuestRequest request, const MatcherObject& matcher) {
  auto constraint = constraint_of(queue, matcher);
  if (!constraint.ok()) return Started(constraint.error());
  return start_generation(state, queue, std::move(request), *constraint, nullptr);
}

wasm::Wait<GuestStarted> start_under(InstanceState& state, std::shared_ptr<QueueObject> queue,
                                     GuestRequest request, const GuestAdapter& adapter,
                                     std::optional<std::shared_ptr<MatcherObject>> matcher) {
  std::shared_ptr<MatcherConstraint> constraint;
  const auto begun = [&]() -> Result<ComingAdapter> {
    PIE_TRY_ASSIGN(const auto mean, find_adapter("generate", *queue, adapter.pointer));
    if (matcher) {
      PIE_TRY_ASSIGN(constraint, constraint_of(queue, **matcher));
    }
    return coming_adapter("generate", state, mean, adapter.seed);
  };
  auto coming = begun();
  if (!coming.ok())
    return {{}, [error = coming.error()]() -> GuestStarted { return Started(error); }};
  return {std::move(coming->events),
          [&state, queue = std::move(queue), request = std::move(request),
           constraint = std::move(constraint), take = std::move(coming->take)]() -> GuestStarted {
            return start_generation(state, queue, request, constraint, take());
          }};
}

wasm::WitResult<void, std::string> suggest(GenerationObject& self, uint32_t generated,
                                           std::vector<TokenId> tokens) {
  const auto done = [&]() -> Result<void> {
    if (tokens.size() > decode::kDraftMax)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[suggest] got {} tokens, expected at most {}", tokens.size(),
                               decode::kDraftMax)};
    self.running->suggest(generated, std::move(tokens));
    return {};
  }();
  return done;
}

}  // namespace

void define_generate(wasm::HostFunctions& functions) {
  const std::string method = "[method]generation.";
  functions.resource(GenerationObject::kResource);
  functions.add(kGenerate, "[static]generation.start", start);
  functions.add(kGenerate, "[static]generation.start-constrained", start_constrained);
  functions.add(kGenerate, "[static]generation.start-under", start_under);
  functions.add(kGenerate, method + "pollable",
                [](GenerationObject& self) -> wasm::ReadinessRef { return self.output; });
  functions.add(kGenerate, method + "read", [](GenerationObject& self) {
    self.settle();
    return self.output->take();
  });
  functions.add(kGenerate, method + "end",
                [](GenerationObject& self) { return self.output->end(); });
  functions.add(kGenerate, method + "cancel",
                [](GenerationObject& self) { self.running->cancel(); });
  functions.add(kGenerate, method + "suggest", suggest);
}

}  // namespace pie::host
