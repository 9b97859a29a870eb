// How a step is put together: admission (who gets pages) and choice (who gets tokens).
#include <algorithm>

#include "base/check.h"
#include "sched/scheduler.h"

namespace pie::sched {
namespace {

/// Programs that decode come back within so many steps, most of them within one.
constexpr uint32_t kStepsNear = 4;

}  // namespace

bool Scheduler::head_is_done(const Queue& q) const {
  const auto& pass = std::get<Pass>(q.commands.front().what);
  return pass.admitted && pass.done_tokens == pass.shape.token_count;
}

/// What was computed of the pass already, unless passes under way use the slots that would come to
/// refer to that.
kv::Match Scheduler::find_prefix(const Pass& pass) const {
  const PassShape& shape = pass.shape;
  if (!shape.content.is_known() || shape.pages.empty()) return {};
  if (!fills_page(shape.context_len, shape.must_compute)) return {};
  kv::Match match = pages_.cache().match(pages_.frames(shape.pages), shape.context_len,
                                         shape.content, shape.must_compute);
  for (size_t i = 0; i < match.frames.size(); ++i) {
    const uint32_t slot = shape.pages[match.first + i].value;
    if (slot < use_.size() && use_[slot].reads > 0) return {};
  }
  return match;
}

/// Whether somebody whom it may wait for is computing pages that the pass can use.
bool Scheduler::still_awaits(const Queue& q, Pass& pass, const kv::Match& match) const {
  pass.awaited = {};
  if (match.awaited == kv::kNoPrefix) return false;
  const kv::Claim& claim = pages_.cache().claim_of(match.awaited);
  if (claim.priority < q.priority) return false;
  pass.awaited = {match.awaited, claim.who};
  return true;
}

Scheduler::BindResult Scheduler::bind(const Queue& q, QueuedCommand& command, Plan& plan,
                                      Place place) {
  const bool in_line = place == Place::kInLine;
  auto& pass = std::get<Pass>(command.what);
  const auto& [page, computer] = pass.awaited;
  if (page != kv::kNoPrefix && pages_.cache().is_claimed(page, computer))
    return BindResult::kAwaitsOther;
  const kv::Match match = find_prefix(pass);
  if (still_awaits(q, pass, match)) return BindResult::kAwaitsOther;
  const uint32_t context = pass.shape.context_len + match.token_count;
  const uint32_t missing = pages_.missing_count(pass.shape.pages, context, match);
  const bool must_wait = in_line && line_blocked_ && missing > 0;
  if (must_wait || !pages_.bind(q.instance, pass.shape.pages, context, match, plan.bindings)) {
    if (in_line && !line_blocked_) line_needs_ = missing, line_first_ = q.instance;
    return BindResult::kMustWait;
  }
  for (const kv::SlotId slot : pass.shape.pages) pass.frames.push_back(*pages_.frame(slot));
  pages_.use(pass.frames);
  pass.bound = true;
  pass.done_tokens = pass.found_tokens = match.token_count;
  mark_use(pass, 1);
  if (match.token_count > 0) plan.hits.push_back({q.instance, match.token_count});
  if (pass.shape.content.is_known() && !pass.frames.empty() &&
      fills_page(context, pass.shape.token_count - match.token_count)) {
    pass.claims = pages_.cache().claim(
        {command.id.value, q.priority}, pages_.frames(pass.shape.pages), pass.shape.content,
        {context, match.token_count, pass.shape.token_count - match.token_count});
  }
  admit_when_ready(pass);
  return BindResult::kBound;
}

void Scheduler::admit_when_ready(Pass& pass) {
  if (!pages_.ready(pass.frames) || pages_.any_lost(pass.frames)) return;
  pass.admitted = true;
  pass.pages.reserve(pass.frames.size());
  for (const kv::FrameId frame : pass.frames)
    pass.pages.push_back(*pages_.frame_table()[frame].page);
  if (!pass.frames.empty()) pages_.begin_write(std::span(pass.frames).subspan(first_written(pass)));
}

/// Returns whether a pass is done by that: all of it was computed before.
bool Scheduler::admit_in_line(Plan& plan) {
  line_blocked_ = false;
  line_needs_ = 0;
  bool any_done = false;
  std::vector<Queue*> lost;
  for (const auto& [age, q] : active_) {
    QueuedCommand& head = q->commands.front();
    auto* pass = std::get_if<Pass>(&head.what);
    if (pass == nullptr || pass->admitted) continue;
    pass->waits = false;
    if (pass->bound) {
      admit_when_ready(*pass);
    } else {
      pass->waits = bind(*q, head, plan, Place::kInLine) == BindResult::kMustWait;
    }
    line_blocked_ = line_blocked_ || pass->waits;
    if (pass->bound && !pass->admitted && pages_.any_lost(pass->frames)) lost.push_back(q);
    any_done = any_done || head_is_done(*q);
  }
  for (Queue* q : lost) {
    plan.lost.push_back(q->commands.front().id);
    end_pass(*q, 0);
    if (q->commands.empty()) rest(q->id);
  }
  return any_done || !lost.empty();
}

/// When nobody in line can go on: the oldest one whose pages are there all the same.
bool Scheduler::admit_out_of_line(Plan& plan) {
  for (const auto& [age, q] : active_) {
    QueuedCommand& head = q->commands.front();
    auto* pass = std::get_if<Pass>(&head.what);
    if (pass == nullptr || !pass->waits ||
        bind(*q, head, plan, Place::kOutOfLine) != BindResult::kBound)
      continue;
    pass->waits = false;
    return true;
  }
  return false;
}

bool Scheduler::is_short(const Queue& q) const {
  const auto& pass = std::get<Pass>(q.commands.front().what);
  return pass.shape.token_count - pass.done_tokens <= config_.short_pass_tokens_max;
}

bool Scheduler::goes_before(const Queue& a, const Queue& b) const {
  if (starved(a) != starved(b)) return starved(a);
  if (starved(a) && a.passed_over != b.passed_over) return a.passed_over > b.passed_over;
  if (a.priority != b.priority) return a.priority > b.priority;
  if (is_short(a) != is_short(b)) return is_short(a);
  return Age{a.instance, a.id} < Age{b.instance, b.id};
}

/// Those that can go on, in the order in which they get tokens.
std::vector<Scheduler::Candidate> Scheduler::find_candidates() const {
  std::vector<Candidate> candidates;
  for (const auto& [age, q] : active_) {
    const auto* pass = std::get_if<Pass>(&q->commands.front().what);
    if (pass != nullptr && pass->admitted && !head_is_done(*q)) candidates.push_back({q});
  }
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return goes_before(*a.queue, *b.queue);
  });
  return candidates;
}

Scheduler::Budget Scheduler::budget_for(const std::vector<Candidate>& candidates,
                                        uint32_t mixed_tokens_max, Plan& plan) {
  uint32_t short_tokens = 0;
  bool any_long = false;
  for (const Candidate& c : candidates) {
    const auto& pass = std::get<Pass>(c.queue->commands.front().what);
    if (is_short(*c.queue)) {
      short_tokens += pass.shape.token_count - pass.done_tokens;
    } else {
      any_long = true;
    }
  }
  if (!candidates.empty() && steps_since_decodes_ < UINT32_MAX) ++steps_since_decodes_;
  if (short_tokens > 0) steps_since_decodes_ = 0;
  const bool decodes_near = steps_since_decodes_ <= kStepsNear;
  plan.kind = !any_long ? StepKind::kDecodes : decodes_near ? StepKind::kMixed : StepKind::kLong;
  const uint32_t all = config_.step_tokens_max;
  if (plan.kind != StepKind::kMixed) return {all, all};
  const uint32_t left = mixed_tokens_max > short_tokens ? mixed_tokens_max - short_tokens : 0;
  return {all, std::min(all, std::max(left, config_.long_chunk_tokens_min))};
}

void Scheduler::choose(Plan& plan, uint32_t mixed_tokens_max) {
  std::vector<Candidate> candidates = find_candidates();
  Budget budget = budget_for(candidates, mixed_tokens_max, plan);
  scratch_pages_ = 0;
  for (Candidate& c : candidates) {
    const bool added = add_chunk(c, budget, plan);
    c.queue->passed_over = added ? 0 : c.queue->passed_over + 1;
    if (!added) c.next = SIZE_MAX;
  }
  // Further passes of the same queues, a round at a time.
  for (bool progress = true; progress && budget.all > 0;) {
    progress = false;
    for (Candidate& c : candidates) {
      if (c.next != SIZE_MAX && !add_chunk(c, budget, plan)) c.next = SIZE_MAX;
      progress = progress || c.next != SIZE_MAX;
    }
  }
}

bool Scheduler::add_chunk(Candidate& candidate, Budget& budget, Plan& plan) {
  Queue& q = *candidate.queue;
  if (budget.all == 0 || candidate.next >= q.commands.size()) return false;
  QueuedCommand& command = q.commands[candidate.next];
  auto* pass = std::get_if<Pass>(&command.what);
  if (pass == nullptr) return false;
  const bool follows = candidate.next > 0;
  if (follows) {
    const auto& before = std::get<Pass>(q.commands[candidate.next - 1].what);
    if (pass->shape.after_earlier_only || before.shape.after_earlier_only) return false;
    if (!pass->bound && bind(q, command, plan, Place::kInLine) != BindResult::kBound) return false;
    if (!pass->admitted) return false;
  }
  const uint32_t left = pass->shape.token_count - pass->done_tokens;
  // A pass without cache is computed whole, and what follows a decode is as long as it is.
  const bool is_long = left > config_.short_pass_tokens_max;
  const bool is_cut = is_long && !pass->pages.empty();
  const uint32_t count =
      std::min(left, is_cut ? std::min(budget.all, budget.long_ones) : budget.all);
  if (count == 0) return false;  // done, as soon as it is the first
  if (pass->pages.empty()) {
    const uint32_t scratch = (count + config_.page_size - 1) / config_.page_size;
    if (count < left || scratch_pages_ + scratch > config_.scratch_pages_max) return false;
    scratch_pages_ += scratch;
  }

  const uint32_t context = pass->shape.context_len + pass->done_tokens;
  std::span<const KvPageId> read;
  std::span<const KvPageId> written;
  if (!pass->pages.empty()) {
    const uint32_t first = context / config_.page_size;
    const uint32_t end = (context + count + config_.page_size - 1) / config_.page_size;
    PIE_CHECK(end <= pass->pages.size());
    read = std::span(pass->pages).first(end);
    written = read.subspan(first);
    if (!step_pages_.compatible(read, written)) return false;
    step_pages_.add(read, written);
  }
  plan.chunks.push_back(PassChunk{.pass = command.id,
                                  .queue = q.id,
                                  .instance = q.instance,
                                  .first_token = pass->done_tokens,
                                  .token_count = count,
                                  .context_len = context,
                                  .last = count == left,
                                  .pages = read});
  budget.all -= count;
  if (is_long) budget.long_ones -= std::min(count, budget.long_ones);
  candidate.next = count == left ? candidate.next + 1 : SIZE_MAX;
  return true;
}

/// Who can do nothing until others free pages (or make an export, which may wait for pages).
std::set<InstanceId> Scheduler::waiting_instances() const {
  std::set<InstanceId> waiting;
  for (const auto& [age, q] : active_) {
    const auto* pass = std::get_if<Pass>(&q->commands.front().what);
    const bool shares = std::holds_alternative<Share>(q->commands.front().what);
    if (shares || (pass != nullptr && pass->waits)) waiting.insert(age.first);
  }
  return waiting;
}

/// Pages come free only through instances that do something else than wait in line.
bool Scheduler::is_stuck() const {
  const std::set<InstanceId> waiting = waiting_instances();
  if (!line_blocked_) return false;
  const auto& holders = pages_.holders();
  return std::all_of(holders.begin(), holders.end(),
                     [&](const auto& holder) { return waiting.contains(holder.first); });
}

}  // namespace pie::sched
