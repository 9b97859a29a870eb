// How a step is put together: admission (who gets pages) and choice (who gets tokens).
#include <algorithm>

#include "base/check.h"
#include "sched/scheduler.h"

namespace pie::sched {

bool Scheduler::admit(const Queue& q, Pass& pass, Plan& plan) {
  if (!pages_.bind(q.instance, pass.shape.pages, first_written(pass), plan.fresh, plan.copies))
    return false;
  pass.pages.reserve(pass.shape.pages.size());
  for (const kv::SlotId slot : pass.shape.pages) pass.pages.push_back(pages_.page(slot));
  pass.admitted = true;
  mark_use(pass, 1);
  pass.waits = false;
  return true;
}

void Scheduler::admit_in_line(Plan& plan) {
  line_blocked_ = false;
  for (const auto& [age, q] : active_) {
    auto* pass = std::get_if<Pass>(&q->commands.front().what);
    if (pass == nullptr || pass->admitted) continue;
    pass->waits =
        line_blocked_ && pages_.missing_count(pass->shape.pages, first_written(*pass)) > 0;
    if (!pass->waits) pass->waits = !admit(*q, *pass, plan);
    line_blocked_ = line_blocked_ || pass->waits;
  }
}

/// When nobody in line can go on: the oldest one whose pages are there all the same.
bool Scheduler::admit_out_of_line(Plan& plan) {
  for (const auto& [age, q] : active_) {
    auto* pass = std::get_if<Pass>(&q->commands.front().what);
    if (pass != nullptr && pass->waits && admit(*q, *pass, plan)) return true;
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
  if (a.level != b.level) return a.level > b.level;
  if (is_short(a) != is_short(b)) return is_short(a);
  return Age{a.instance, a.id} < Age{b.instance, b.id};
}

void Scheduler::choose(Plan& plan) {
  std::vector<Candidate> candidates;
  for (const auto& [age, q] : active_) {
    const auto* pass = std::get_if<Pass>(&q->commands.front().what);
    if (pass != nullptr && pass->admitted) candidates.push_back({q});
  }
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return goes_before(*a.queue, *b.queue);
  });
  uint32_t budget = config_.step_tokens_max;
  for (Candidate& c : candidates) {
    const bool added = add_chunk(c, budget, plan);
    c.queue->passed_over = added ? 0 : c.queue->passed_over + 1;
    if (!added) c.next = SIZE_MAX;
  }
  // Further passes of the same queues, a round at a time.
  for (bool progress = true; progress && budget > 0;) {
    progress = false;
    for (Candidate& c : candidates) {
      if (c.next != SIZE_MAX && !add_chunk(c, budget, plan)) c.next = SIZE_MAX;
      progress = progress || c.next != SIZE_MAX;
    }
  }
}

bool Scheduler::add_chunk(Candidate& candidate, uint32_t& budget, Plan& plan) {
  Queue& q = *candidate.queue;
  if (budget == 0 || candidate.next >= q.commands.size()) return false;
  Command& command = q.commands[candidate.next];
  auto* pass = std::get_if<Pass>(&command.what);
  if (pass == nullptr) return false;
  const bool follows = candidate.next > 0;
  if (follows) {
    const auto& before = std::get<Pass>(q.commands[candidate.next - 1].what);
    if (pass->shape.after_earlier_only || before.shape.after_earlier_only) return false;
    if (!pass->admitted) {
      if (line_blocked_ && pages_.missing_count(pass->shape.pages, first_written(*pass)) > 0)
        return false;
      if (!admit(q, *pass, plan)) return false;
    }
  }
  const uint32_t left = pass->shape.token_count - pass->done_tokens;
  const uint32_t count = std::min(left, budget);
  if (pass->pages.empty() && count < left) return false;

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
  plan.chunks.push_back(Chunk{.pass = command.id,
                              .instance = q.instance,
                              .first_token = pass->done_tokens,
                              .token_count = count,
                              .context_len = context,
                              .last = count == left,
                              .pages = read});
  budget -= count;
  candidate.next = count == left ? candidate.next + 1 : SIZE_MAX;
  return true;
}

std::set<InstanceId> Scheduler::waiting_instances() const {
  std::set<InstanceId> waiting;
  for (const auto& [age, q] : active_) {
    const auto* pass = std::get_if<Pass>(&q->commands.front().what);
    if (pass != nullptr && pass->waits) waiting.insert(age.first);
  }
  return waiting;
}

/// Pages come free only through instances that do something else than wait in line.
bool Scheduler::is_stuck() const {
  const std::set<InstanceId> waiting = waiting_instances();
  if (waiting.empty()) return false;
  const auto& holders = pages_.holders();
  return std::all_of(holders.begin(), holders.end(),
                     [&](const auto& holder) { return waiting.contains(holder.first); });
}

}  // namespace pie::sched
