#include "engine/step_loop.h"

#include <fmt/format.h>

#include <new>

#include "base/log.h"
#include "sample/random.h"

namespace pie::engine {
namespace {

using std::chrono::nanoseconds;

/// How long the line for pages stays in order while nobody can go on, and how long nobody may be
/// able to go on before an instance has to end. In that time the programs that were just woken say
/// what they do next.
constexpr nanoseconds kOvertakePatience = std::chrono::milliseconds(1);
constexpr nanoseconds kEvictPatience = std::chrono::milliseconds(50);
/// How long nothing is moved to a disk that has refused a page.
constexpr uint64_t kFullDiskPauseNs = 1'000'000'000;

sched::Level level_of(Priority priority) {
  switch (priority) {
    case Priority::kLow: return sched::Level::kLow;
    case Priority::kHigh: return sched::Level::kHigh;
    case Priority::kNormal: break;
  }
  return sched::Level::kNormal;
}

Error closed_error() {
  return Error{ErrorCode::kCancelled, "[execute] got an instance that was closed, expected to run"};
}

Error lost_error() {
  return Error{ErrorCode::kInternal,
               "[execute] got a KV page that the disk did not give back, expected it as it was "
               "stored: see the server's log"};
}

}  // namespace

StepLoop::StepLoop(Front& front, SnapshotStore* snapshots, std::string layout,
                   std::unique_ptr<exec::Executor> executor, const EngineLimits& limits,
                   const EngineConfig& config, uint64_t seed, const Clock& clock)
    : front_(front),
      snapshots_(snapshots),
      executor_(std::move(executor)),
      config_(config),
      clock_(clock),
      swap_page_count_(config.swap_folder.empty()
                           ? 0
                           : swap_page_count(config.swap_folder, config.swap_bytes_max,
                                             executor_->page_bytes())),
      pages_({.page_count = limits.page_count,
              .page_size = limits.page_size,
              .swap_page_count = swap_page_count_,
              .salt = sample::mix_bits(seed)}),
      scheduler_({.step_tokens_max = limits.step_tokens_max,
                  .page_size = limits.page_size,
                  .scratch_pages_max = executor_->config().scratch_pages()},
                 pages_),
      embeddings_(limits.embedding_size),
      collector_(seed, limits.vocab_size, limits.embedding_size),
      layout_(std::move(layout)) {
  stats_.kv_pages_capacity = limits.page_count;
  stats_.swap_pages_capacity = swap_page_count_;
  std::optional<SwapFile> swap;
  if (swap_page_count_ > 0) {
    Result<SwapFile> file = SwapFile::open(config.swap_folder, executor_->page_bytes());
    if (file.ok()) {
      swap.emplace(std::move(*file));
    } else {
      log::error("engine: pages stay in the pool: {}", file.error().message);
    }
  }
  can_swap_ = swap.has_value();
  settle();  // what there is, for who asks before the first step
  if (!can_swap_ && snapshots_ == nullptr) return;
  io_ = std::make_unique<PageIo>(*executor_, std::move(swap),
                                 [this](PageMoved moved) { front_.page_moved(moved); });
}

void StepLoop::run() {
  while (!front_.stopping()) {
    receive();
    rest(turn());
  }
  cancel_all();
}

void StepLoop::receive() {
  for (Message& message : front_.receive()) {
    line_ = sched::Line::kInOrder;
    std::visit([this](auto& m) { handle(m); }, message);
  }
}

void StepLoop::handle(OpenQueue& message) {
  scheduler_.open_queue(message.queue, message.instance);
  scheduler_.set_level(message.queue, level_of(message.priority));
}

void StepLoop::handle(CloseQueue& message) { scheduler_.close_queue(message.queue); }

void StepLoop::handle(ChangePriority& message) {
  scheduler_.set_level(message.queue, level_of(message.priority));
}

void StepLoop::handle(Submit& message) {
  PendingPass& pass = *message.pass;
  embeddings_.pin(pass.embedding_pins);
  const std::vector<kv::SlotId> temporary =
      pass.temporary_pages ? pass.shape.pages : std::vector<kv::SlotId>{};
  scheduler_.push_pass(message.queue, message.id, std::move(pass.shape));
  for (const kv::SlotId slot : temporary) pages_.release(slot);  // the pass pins them: its alone
  passes_[message.id] = std::move(message.pass);
}

void StepLoop::handle(Synchronize& message) {
  syncs_[message.id] = {message.instance, std::move(message.done)};
  scheduler_.push_marker(message.queue, message.id);
}

void StepLoop::handle(CloseInstance& message) {
  for (const sched::CommandId command : scheduler_.close_instance(message.instance)) {
    if (const auto sync = syncs_.extract(command)) {
      sync.mapped().done(false);
    } else if (passes_.contains(command)) {
      fail(command, closed_error());
    } else if (saves_.contains(command)) {
      drop_save(command);
    } else {
      complete(command);
    }
  }
  for (const kv::SlotId slot : message.pages) pages_.release(slot);
  for (const kv::SlotId slot : message.embeddings) embeddings_.release(slot);
  settle();
  message.closed();
}

void StepLoop::handle(Share& message) {
  PendingShare pending{message.instance, message.type, message.shape.from, message.shape.to};
  if (message.type == ResourceType::kEmbedding) {  // of which the scheduler does not know
    message.shape.from = {};
    message.shape.to = {};
    embeddings_.pin(pending.from);
    embeddings_.pin(pending.to);
  }
  shares_[message.id] = std::move(pending);
  scheduler_.push_share(message.queue, message.id, std::move(message.shape));
}

void StepLoop::handle(Release& message) {
  for (const kv::SlotId slot : message.slots) {
    if (message.type == ResourceType::kKvPage) pages_.release(slot);
    if (message.type == ResourceType::kEmbedding) embeddings_.release(slot);
  }
  settle();
}

void StepLoop::handle(PageMoved& message) {
  if (message.is_load) {
    ++stats_.swap_pages_loaded;
    pages_.loaded(message.frame, message.ok);
    return;
  }
  pages_.stored(message.frame, message.ok);
  stats_.swap_pages_stored += message.ok ? 1 : 0;
  if (!message.ok) no_swap_until_ns_ = clock_.now_ns() + kFullDiskPauseNs;
}

void StepLoop::handle(Notify& message) { message.call(); }

StepLoop::Turn StepLoop::turn() {
  const uint64_t started_ns = clock_.now_ns();
  const sched::Plan plan = scheduler_.plan(line_);
  bind(plan.bindings);
  for (const sched::PrefixHit& hit : plan.hits) {
    ++stats_.prefix_hits;
    stats_.prefix_tokens_saved += hit.token_count;
    hits_.push_back(hit);
  }
  for (const sched::CommandId command : plan.completed) complete(command);
  for (const sched::CommandId command : plan.lost) fail(command, lost_error());
  const Relief relief = make_room(plan.waiting);
  if (!plan.chunks.empty()) {
    execute(plan, started_ns);
    line_ = sched::Line::kInOrder;
    return Turn::kStep;
  }
  settle();
  if (!plan.completed.empty() || !plan.lost.empty()) return Turn::kProgress;
  if (plan.waiting && relief == Relief::kNow) return Turn::kProgress;
  if (!plan.waiting || relief == Relief::kSoon) return Turn::kIdle;
  if (line_ == sched::Line::kInOrder) return Turn::kWaiting;
  return plan.stuck ? Turn::kStuck : Turn::kStalled;
}

void StepLoop::bind(const kv::Bindings& bindings) {
  const std::vector<kv::PageSetup>& pages = bindings.pages;
  for (size_t i = 0; i < pages.size();) {
    std::vector<KvPageId> from, to;
    const bool copies = pages[i].from.has_value();
    for (; i < pages.size() && pages[i].from.has_value() == copies; ++i) {
      if (copies) from.push_back(*pages[i].from);
      to.push_back(pages[i].to);
    }
    if (copies) {
      executor_->copy_pages(from, to);
    } else {
      executor_->clear_pages(to);
    }
  }
  for (const kv::PageLoad& load : bindings.loads) io_->load(load);
}

/// Begins to move cold pages out of the pool, if somebody lacks pages or soon will.
StepLoop::Relief StepLoop::make_room(bool is_waited_for) {
  constexpr uint32_t kTurnsBetweenLooks = 8;  // for cold pages that nobody needs the room of yet
  if (!can_swap_ || clock_.now_ns() < no_swap_until_ns_) return Relief::kNone;
  const bool looks = ++turns_ % kTurnsBetweenLooks == 0 && scheduler_.pages_are_short();
  if (!looks && !scheduler_.pages_are_needed()) return Relief::kNone;
  const sched::Room room = scheduler_.make_room(front_.paused(is_waited_for));
  for (const kv::PageStore& store : room.stores) io_->store(store);
  if (room.freed > 0) return Relief::kNow;
  return room.stores.empty() ? Relief::kNone : Relief::kSoon;
}

void StepLoop::rest(Turn turn) {
  switch (turn) {
    case Turn::kStep:
    case Turn::kProgress: return;
    case Turn::kIdle:
    case Turn::kStalled: front_.wait(std::nullopt); return;
    case Turn::kWaiting:
      if (!front_.wait(kOvertakePatience)) line_ = sched::Line::kMayOvertake;
      return;
    case Turn::kStuck:
      if (!front_.wait(kEvictPatience)) evict();
      return;
  }
}

void StepLoop::complete(sched::CommandId command) {
  if (passes_.contains(command)) {  // all of it was computed before, and nothing is asked of it
    end_pass(take_pass(command), ForwardOutput{});
  } else if (const auto sync = syncs_.extract(command)) {
    front_.retire(sync.mapped().instance, 1, true);
    sync.mapped().done(true);
  } else if (const auto share = shares_.extract(command)) {
    const PendingShare& pending = share.mapped();
    const bool is_embedding = pending.type == ResourceType::kEmbedding;
    for (size_t i = 0; is_embedding && i < pending.to.size(); ++i)
      embeddings_.copy(pending.from[i], pending.to[i]);
    for (const auto* slots : {&pending.from, &pending.to}) {
      if (is_embedding) embeddings_.unpin(*slots);
      std::vector<kv::SlotId>& unpinned = is_embedding ? unpinned_embeddings_ : unpinned_pages_;
      unpinned.insert(unpinned.end(), slots->begin(), slots->end());
    }
    front_.retire(pending.instance, 1);
  } else if (auto saving = saves_.extract(command)) {
    save(std::move(saving.mapped()));
  }
}

/// Computes parts together. What the machine refuses is an error.
Result<void> StepLoop::compute_together(std::span<const StepPart> parts) {
  try {
    PIE_TRY_ASSIGN(const exec::StepOutput output,
                   executor_->execute(build_batch(parts, embeddings_)));
    PIE_TRY_ASSIGN(const uint32_t generated,
                   collector_.collect(parts, output, embeddings_, *executor_));
    generated_ += generated;
    return {};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kResourceExhausted,
                 "[step] got no memory from the machine, expected enough for the pass: run fewer "
                 "instances at once, or serve with fewer KV pages"};
  }
}

/// What became of each part: when a step fails, its members go one at a time, so that only those
/// fail for whom there is no other way.
std::vector<Result<void>> StepLoop::compute(std::span<const StepPart> parts) {
  std::vector<Result<void>> outcomes(parts.size());
  generated_ = 0;
  const Result<void> together = compute_together(parts);
  if (together.ok()) return outcomes;
  log::error("engine: a step of {} passes failed: {}", parts.size(), together.error().message);
  for (size_t i = 0; i < parts.size(); ++i)
    outcomes[i] = parts.size() == 1 ? together : compute_together(parts.subspan(i, 1));
  return outcomes;
}

void StepLoop::execute(const sched::Plan& plan, uint64_t started_ns) {
  std::vector<StepPart> parts;
  parts.reserve(plan.chunks.size());
  uint32_t tokens = 0;
  for (const sched::Chunk& chunk : plan.chunks) {
    parts.push_back({&chunk, passes_.at(chunk.pass).get()});
    tokens += chunk.token_count;
  }
  const std::vector<Result<void>> outcomes = compute(parts);
  std::set<size_t> failed;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i].ok()) failed.insert(i);
  }
  scheduler_.finish(plan, failed);
  ++stats_.steps;
  stats_.tokens_computed += tokens;
  stats_.tokens_generated += generated_;
  const uint64_t step_ns = clock_.now_ns() - started_ns;
  stats_.step_ns += step_ns;
  publish(plan, outcomes);
  front_.gather(
      nanoseconds(static_cast<int64_t>(static_cast<double>(step_ns) * config_.gather_fraction)));
  throughput_.add(clock_.now_ns() - started_ns, step_ns, generated_);
}

/// After finish(): ends the passes that are done or have failed.
void StepLoop::publish(const sched::Plan& plan, const std::vector<Result<void>>& outcomes) {
  std::vector<std::pair<std::unique_ptr<PendingPass>, Result<ForwardOutput>>> ended;
  std::vector<InstanceId> waiting;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const sched::Chunk& chunk = plan.chunks[i];
    if (outcomes[i].ok() && !chunk.last) continue;
    if (!chunk.last) scheduler_.drop_pass(chunk.queue, chunk.pass);
    std::unique_ptr<PendingPass> pass = take_pass(chunk.pass);
    if (chunk.last && pass->has_result()) waiting.push_back(pass->instance);
    Result<ForwardOutput> result = std::move(pass->output);
    if (!outcomes[i].ok()) result = Error(outcomes[i].error()).within("[execute]");
    ended.emplace_back(std::move(pass), std::move(result));
  }
  settle();
  front_.expect(waiting);  // before the first of them can answer
  for (auto& [pass, result] : ended) end_pass(std::move(pass), std::move(result));
}

void StepLoop::evict() {
  const std::optional<sched::CommandId> command = scheduler_.evict_youngest();
  line_ = sched::Line::kInOrder;
  if (!command) return;
  fail(*command,
       Error{ErrorCode::kResourceExhausted,
             fmt::format("[execute] got a KV pool of {} pages with {} used and every instance that "
                         "holds any waiting for more, expected enough for this pass: run fewer "
                         "instances at once or serve with more pages",
                         stats_.kv_pages_capacity, pages_.live_count())});
}

void StepLoop::fail(sched::CommandId command, const Error& error) {
  end_pass(take_pass(command), error);
}

/// The scheduler is done with the pass: what it names is its no more.
std::unique_ptr<PendingPass> StepLoop::take_pass(sched::CommandId command) {
  std::unique_ptr<PendingPass> pass = std::move(passes_.extract(command).mapped());
  embeddings_.unpin(pass->embedding_pins);
  unpinned_pages_.insert(unpinned_pages_.end(), pass->page_pins.begin(), pass->page_pins.end());
  unpinned_embeddings_.insert(unpinned_embeddings_.end(), pass->embedding_pins.begin(),
                              pass->embedding_pins.end());
  return pass;
}

void StepLoop::end_pass(std::unique_ptr<PendingPass> pass, Result<ForwardOutput> result) {
  front_.retire(pass->instance, 1);
  if (pass->done) pass->done(std::move(result));
}

void StepLoop::settle() {
  close_files();
  Settlement settlement;
  settlement.unpinned_pages = std::exchange(unpinned_pages_, {});
  settlement.unpinned_embeddings = std::exchange(unpinned_embeddings_, {});
  settlement.dead_pages = pages_.take_dead_slots();
  settlement.dead_embeddings = embeddings_.take_dead_slots();
  for (const InstanceId instance : pages_.take_changed_holders())
    settlement.kv_pages_held.emplace_back(instance, pages_.held_count(instance));
  settlement.hits = std::exchange(hits_, {});
  stats_.kv_pages_used = pages_.live_count();
  stats_.kv_pages_cached = pages_.frame_table().unused_count();
  stats_.swap_pages_used = pages_.frame_table().swap_used();
  stats_.tokens_per_second = throughput_.tokens_per_second();
  stats_.step_ms_mean = throughput_.step_ms_mean();
  settlement.stats = stats_;
  front_.settle(std::move(settlement));
}

void StepLoop::cancel_all() {
  const Error stopped{ErrorCode::kCancelled, "[execute] got an engine that stops, expected to run"};
  receive();
  for (auto& [id, sync] : syncs_) sync.done(false);
  for (auto& [id, saving] : saves_) saving.done(stopped);
  for (auto& [id, pass] : passes_) {
    if (pass->done) pass->done(stopped);
  }
}

}  // namespace pie::engine
