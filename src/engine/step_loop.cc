#include "engine/step_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/log.h"
#include "engine/commands/pass.h"
#include "engine/local_engine.h"
#include "engine/snapshot/store.h"
#include "sample/random.h"

namespace pie::engine {
namespace {

using std::chrono::nanoseconds;

/// How long the line for pages stays in order while nobody can go on, and how long nobody may be
/// able to go on before an instance has to end. In that time the programs that were just woken say
/// what they do next.
constexpr nanoseconds kOvertakePatience = std::chrono::milliseconds(1);
constexpr nanoseconds kEvictPatience = std::chrono::milliseconds(50);
Error lost_error() {
  return Error{ErrorCode::kInternal,
               "[execute] got a KV page that the disk did not give back, expected it as it was "
               "stored: see the server's log"};
}

void fail(LoopState& state, sched::CommandId id, const Error& error) {
  const std::unique_ptr<PassCommand> pass = end_pass(state, id);
  pass->let_go(state);
  pass->answer(state, error);
}

}  // namespace

StepLoop::StepLoop(LocalEngine& engine, SnapshotStore* snapshots, std::string layout,
                   std::unique_ptr<exec::Executor> executor, const EngineLimits& limits,
                   const EngineConfig& config, uint64_t seed, const Clock& clock)
    : engine_(engine),
      inbox_(engine.inbox()),
      config_(config),
      clock_(clock),
      executor_(std::move(executor)),
      mover_(
          engine, *executor_, config,
          snapshots == nullptr ? PageMover::KeepsSnapshots::kNo : PageMover::KeepsSnapshots::kYes,
          clock),
      writer_(snapshots == nullptr ? nullptr
                                   : std::make_unique<SnapshotWriter>(*mover_.disk(), *snapshots)),
      state_(engine, *executor_, mover_.disk(),
             {.page_count = limits.page_count,
              .page_size = limits.page_size,
              .swap_page_count = mover_.swap_page_count(),
              .salt = sample::mix_bits(seed)},
             {.step_tokens_max = limits.step_tokens_max,
              .page_size = limits.page_size,
              .scratch_pages_max = executor_->config().scratch_pages()},
             limits.embedding_size),
      computer_(*executor_, state_.embeddings, seed, limits.embedding_size),
      budget_(config.step_ns_max, limits.step_tokens_max) {
  state_.snapshots.store = snapshots;
  state_.snapshots.writer = writer_.get();
  state_.snapshots.layout = std::move(layout);
  state_.report.stats.kv_pages_capacity = limits.page_count;
  state_.report.stats.swap_pages_capacity = mover_.swap_page_count();
  state_.publish();  // what there is, for who asks before the first step
}

/// The disk thread goes before what its jobs refer to.
StepLoop::~StepLoop() { mover_.stop(); }

void StepLoop::run() {
  while (!inbox_.stopping()) {
    receive();
    rest(turn());
  }
  cancel_all();
}

void StepLoop::receive() {
  Mail mail = inbox_.receive();
  if (!mail.messages.empty() || !mail.priorities.empty()) overtaking_ = sched::Overtaking::kNo;
  for (LoopMessage& message : mail.messages) {
    if (auto* call = std::get_if<LoopCall>(&message)) {
      (*call)(state_);
    } else {
      state_.begin(std::move(std::get<std::unique_ptr<Command>>(message)));
    }
  }
  for (const auto& [queue, priority] : mail.priorities)
    state_.scheduler.set_priority(queue, priority);
}

StepLoop::TurnEnd StepLoop::turn() {
  const uint64_t started_ns = clock_.now_ns();
  const sched::Plan plan = state_.scheduler.plan(overtaking_, budget_.tokens());
  mover_.bind(plan.bindings);
  for (const sched::PrefixHit& hit : plan.hits) {
    ++state_.report.stats.prefix_hits;
    state_.report.stats.prefix_tokens_saved += hit.token_count;
    state_.report.hits.push_back(hit);
  }
  for (const sched::CommandId command : plan.completed) state_.complete(command);
  for (const sched::CommandId command : plan.lost) fail(state_, command, lost_error());
  const PageMover::Freed freed = mover_.make_room(state_, plan);
  if (!plan.chunks.empty()) {
    step(plan, started_ns);
    overtaking_ = sched::Overtaking::kNo;
    return TurnEnd::kStep;
  }
  state_.publish();
  if (!plan.completed.empty() || !plan.lost.empty()) return TurnEnd::kProgress;
  if (plan.waiting && freed == PageMover::Freed::kNow) return TurnEnd::kProgress;
  if (!plan.waiting || freed == PageMover::Freed::kSoon) return TurnEnd::kIdle;
  if (overtaking_ == sched::Overtaking::kNo) return TurnEnd::kWaiting;
  return plan.stuck ? TurnEnd::kStuck : TurnEnd::kStalled;
}

void StepLoop::rest(TurnEnd end) {
  switch (end) {
    case TurnEnd::kStep:
    case TurnEnd::kProgress: return;
    case TurnEnd::kIdle:
    case TurnEnd::kStalled: inbox_.wait(std::nullopt); return;
    case TurnEnd::kWaiting:
      if (!inbox_.wait(kOvertakePatience)) overtaking_ = sched::Overtaking::kYes;
      return;
    case TurnEnd::kStuck:
      if (!inbox_.wait(kEvictPatience)) evict();
      return;
  }
}

void StepLoop::step(const sched::Plan& plan, uint64_t started_ns) {
  std::vector<StepPart> parts;
  parts.reserve(plan.chunks.size());
  uint32_t tokens = 0;
  for (const sched::PassChunk& chunk : plan.chunks) {
    parts.push_back({&chunk, static_cast<PassCommand*>(state_.pending.at(chunk.pass).get())});
    tokens += chunk.token_count;
  }
  const StepOutcome outcome = computer_.compute(parts);
  for (const StepPart& part : parts) part.pass->output.step_tokens = tokens;
  std::set<size_t> failed;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!outcome.parts[i].ok()) failed.insert(i);
  }
  state_.scheduler.finish(plan, failed);
  EngineStats& stats = state_.report.stats;
  ++stats.steps;
  stats.tokens_computed += tokens;
  stats.tokens_generated += outcome.generated;
  const uint64_t step_ns = clock_.now_ns() - started_ns;
  stats.step_ns += step_ns;
  budget_.took(plan.kind, tokens, step_ns);
  publish(plan, outcome.parts);
  const auto share = static_cast<uint64_t>(static_cast<double>(step_ns) * config_.gather_fraction);
  inbox_.gather(nanoseconds(std::min(share, config_.gather_ns_max)));
  state_.throughput.add(clock_.now_ns() - started_ns, step_ns, outcome.generated);
}

/// After finish(): ends the passes that are done or have failed.
void StepLoop::publish(const sched::Plan& plan, const std::vector<Result<void>>& outcomes) {
  std::vector<std::pair<std::unique_ptr<PassCommand>, Result<ForwardOutput>>> ended;
  std::vector<InstanceId> waiting;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const sched::PassChunk& chunk = plan.chunks[i];
    if (outcomes[i].ok() && !chunk.last) continue;
    if (!chunk.last) state_.scheduler.drop_pass(chunk.queue, chunk.pass);
    std::unique_ptr<PassCommand> pass = end_pass(state_, chunk.pass);
    pass->let_go(state_);
    if (chunk.last && pass->has_result()) waiting.push_back(pass->instance);
    Result<ForwardOutput> result = std::move(pass->output);
    if (!outcomes[i].ok()) result = Error(outcomes[i].error()).within("[execute]");
    ended.emplace_back(std::move(pass), std::move(result));
  }
  state_.publish();
  engine_.expect(waiting);  // before the first of them can answer
  for (auto& [pass, result] : ended) pass->answer(state_, std::move(result));
}

void StepLoop::evict() {
  const std::optional<sched::CommandId> command = state_.scheduler.evict_youngest();
  overtaking_ = sched::Overtaking::kNo;
  if (!command) return;
  fail(state_, *command,
       Error{ErrorCode::kResourceExhausted,
             fmt::format("[execute] got a KV pool of {} pages with {} used and every instance that "
                         "holds any waiting for more, expected enough for this pass: run fewer "
                         "instances at once or serve with more pages",
                         state_.report.stats.kv_pages_capacity, state_.pages.live_count())});
}

void StepLoop::cancel_all() {
  receive();
  while (!state_.pending.empty())
    state_.cancel(state_.pending.begin()->first, Cancelled::kEngineStops);
}

}  // namespace pie::engine
