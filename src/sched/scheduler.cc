#include "sched/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace pie::sched {

Scheduler::Scheduler(const SchedulerConfig& config, kv::PageMap& pages)
    : config_(config), pages_(pages), step_pages_(pages.frame_table().pool().capacity()) {
  PIE_CHECK(config.step_tokens_max > 0);
  PIE_CHECK(config.page_size > 0);
}

void Scheduler::open_queue(QueueId id, InstanceId instance) {
  const auto [at, fresh] = queues_.try_emplace(id);
  PIE_CHECK(fresh);
  at->second.id = id;
  at->second.instance = instance;
  by_instance_[instance].insert(id);
}

void Scheduler::close_queue(QueueId id) {
  Queue& q = queue(id);
  q.closing = true;
  if (q.commands.empty()) rest(id);
}

void Scheduler::rest(QueueId id) {
  const auto at = queues_.find(id);
  const InstanceId instance = at->second.instance;
  active_.erase({instance, id});
  if (!at->second.closing) return;
  queues_.erase(at);
  const auto of_instance = by_instance_.find(instance);
  of_instance->second.erase(id);
  if (of_instance->second.empty()) by_instance_.erase(of_instance);
}

Scheduler::Queue& Scheduler::queue(QueueId id) {
  const auto at = queues_.find(id);
  PIE_CHECK(at != queues_.end());
  return at->second;
}

void Scheduler::set_priority(QueueId id, Priority priority) {
  const auto at = queues_.find(id);
  if (at != queues_.end()) at->second.priority = priority;
}

void Scheduler::push(QueueId id, QueuedCommand command) {
  Queue& q = queue(id);
  if (q.commands.empty()) active_[{q.instance, q.id}] = &q;
  q.commands.push_back(std::move(command));
  ++pending_;
}

void Scheduler::push_pass(QueueId id, CommandId command, PassShape shape) {
  PIE_CHECK(shape.token_count > 0);
  PIE_CHECK(!shape.pages.empty() || shape.token_count <= config_.step_tokens_max);
  pages_.pin(shape.pages);
  Pass pass;
  pass.shape = std::move(shape);
  push(id, QueuedCommand{command, std::move(pass)});
}

void Scheduler::push_marker(QueueId id, CommandId command) {
  push(id, QueuedCommand{command, Marker{}});
}

void Scheduler::push_share(QueueId id, CommandId command, ShareShape shape) {
  pages_.pin(shape.from);
  pages_.pin(shape.to);
  if (shape.makes != 0) exports_pending_.insert(shape.makes);
  push(id, QueuedCommand{command, Share{std::move(shape)}});
}

bool Scheduler::can_share(const ShareShape& shape) const {
  const auto use = [&](kv::SlotId slot) {
    return slot.value < use_.size() ? use_[slot.value] : Use{};
  };
  return !exports_pending_.contains(shape.needs) &&
         std::all_of(shape.from.begin(), shape.from.end(),
                     [&](kv::SlotId slot) { return use(slot).writes == 0; }) &&
         std::all_of(shape.to.begin(), shape.to.end(),
                     [&](kv::SlotId slot) { return use(slot).reads == 0; });
}

void Scheduler::share(const ShareShape& shape) {
  for (size_t i = 0; i < shape.to.size(); ++i)
    pages_.share(shape.from[i], shape.owner, shape.to[i]);
  exports_pending_.erase(shape.makes);
  pages_.unpin(shape.from);
  pages_.unpin(shape.to);
}

void Scheduler::mark_use(const Pass& pass, int by) {
  for (size_t i = 0; i < pass.shape.pages.size(); ++i) {
    const uint32_t slot = pass.shape.pages[i].value;
    if (slot >= use_.size()) use_.resize(slot + 1);
    use_[slot].reads += by;
    use_[slot].writes += i >= first_written(pass) ? by : 0;
  }
}

void Scheduler::drain(Queue& q, std::vector<CommandId>& completed) {
  while (!q.commands.empty()) {
    QueuedCommand& head = q.commands.front();
    if (std::holds_alternative<Pass>(head.what)) {
      if (!head_is_done(q)) return;
      completed.push_back(head.id);
      end_pass(q, 0);
      continue;
    }
    if (const auto* sharing = std::get_if<Share>(&head.what)) {
      if (!can_share(sharing->shape)) return;
      share(sharing->shape);
    }
    completed.push_back(head.id);
    q.commands.pop_front();
    --pending_;
  }
}

void Scheduler::end_pass(Queue& q, size_t index) {
  const auto at = q.commands.begin() + static_cast<ptrdiff_t>(index);
  const Pass& pass = std::get<Pass>(at->what);
  if (pass.bound) {
    mark_use(pass, -1);
    pages_.unuse(pass.frames);
    pages_.cache().give_up(pass.claims);
  }
  pages_.unpin(pass.shape.pages);
  q.commands.erase(at);
  --pending_;
}

Plan Scheduler::plan(Overtaking overtaking, uint32_t mixed_tokens_max) {
  Plan plan;
  pages_.begin_turn();
  do {
    for (auto at = active_.begin(); at != active_.end();) {
      Queue& q = *at++->second;
      drain(q, plan.completed);
      if (q.commands.empty()) rest(q.id);
    }
  } while (admit_in_line(plan));
  if (active_.empty()) return plan;
  step_pages_.begin_step();
  choose(plan, mixed_tokens_max);
  if (!plan.chunks.empty() || !plan.completed.empty() || !plan.lost.empty()) return plan;
  if (pages_.frame_table().io_count() > 0) return plan;
  plan.waiting = true;  // whoever was admitted would be in the step
  if (overtaking == Overtaking::kYes) {
    if (admit_out_of_line(plan)) choose(plan, mixed_tokens_max);
    plan.stuck = plan.chunks.empty() && is_stuck();
  }
  return plan;
}

void Scheduler::finish(const Plan& plan, const std::set<size_t>& failed) {
  for (size_t i = 0; i < plan.chunks.size(); ++i)
    finish_chunk(plan.chunks[i], failed.contains(i) ? ChunkOutcome::kFailed : ChunkOutcome::kDone);
}

void Scheduler::finish_chunk(const PassChunk& chunk, ChunkOutcome outcome) {
  const bool failed = outcome == ChunkOutcome::kFailed;
  Queue& q = queue(chunk.queue);
  // Few commands precede it there.
  const auto at = std::find_if(q.commands.begin(), q.commands.end(),
                               [&](const QueuedCommand& c) { return c.id == chunk.pass; });
  PIE_CHECK(at != q.commands.end());
  auto& pass = std::get<Pass>(at->what);
  pass.done_tokens += chunk.token_count;
  const auto frames = std::span(pass.frames).first(chunk.pages.size());
  if (!failed && !frames.empty()) {
    pages_.cache().wrote(frames, pass.shape.content,
                         {chunk.context_len, chunk.first_token, chunk.token_count});
  }
  for (size_t i = chunk.context_len / config_.page_size; failed && i < frames.size(); ++i)
    pages_.cache().begin_write(frames[i], 0);
  if (chunk.last) end_pass(q, static_cast<size_t>(at - q.commands.begin()));
  if (q.commands.empty()) rest(q.id);
}

void Scheduler::drop_pass(QueueId id, CommandId pass) {
  Queue& q = queue(id);
  const auto at = std::find_if(q.commands.begin(), q.commands.end(),
                               [&](const QueuedCommand& c) { return c.id == pass; });
  PIE_CHECK(at != q.commands.end());
  end_pass(q, static_cast<size_t>(at - q.commands.begin()));
  if (q.commands.empty()) rest(id);
}

std::optional<CommandId> Scheduler::evict_youngest() {
  for (auto at = active_.rbegin(); at != active_.rend(); ++at) {
    Queue& q = *at->second;
    const auto* pass = std::get_if<Pass>(&q.commands.front().what);
    if (pass == nullptr || !pass->waits || pages_.held_count(q.instance) == 0) continue;
    const CommandId id = q.commands.front().id;
    end_pass(q, 0);
    if (q.commands.empty()) rest(q.id);
    return id;
  }
  return std::nullopt;
}

std::vector<CommandId> Scheduler::close_instance(InstanceId instance) {
  std::vector<CommandId> dropped;
  const auto queues = by_instance_.find(instance);
  if (queues == by_instance_.end()) return dropped;
  for (const QueueId id : queues->second) {
    Queue& q = queue(id);
    while (!q.commands.empty()) {
      drain(q, dropped);
      if (q.commands.empty()) break;
      dropped.push_back(q.commands.front().id);
      if (const auto* sharing = std::get_if<Share>(&q.commands.front().what)) {
        // Nothing of this instance runs any more, and what it imports is of no use to it.
        exports_pending_.erase(sharing->shape.makes);
        share(sharing->shape);
        q.commands.pop_front();
        --pending_;
        continue;
      }
      end_pass(q, 0);
    }
    active_.erase({instance, id});
    queues_.erase(id);
  }
  by_instance_.erase(queues);
  return dropped;
}

void Scheduler::check_invariants() const {
  pages_.check_invariants();
  uint32_t pending = 0;
  for (const auto& [id, q] : queues_) {
    pending += static_cast<uint32_t>(q.commands.size());
    PIE_CHECK(active_.contains({q.instance, id}) == !q.commands.empty());
    PIE_CHECK(!q.closing || !q.commands.empty());
    PIE_CHECK(by_instance_.at(q.instance).contains(id));
    for (const QueuedCommand& command : q.commands) {
      const auto* pass = std::get_if<Pass>(&command.what);
      if (pass == nullptr) continue;
      PIE_CHECK(pass->done_tokens <= pass->shape.token_count);
      PIE_CHECK(pass->done_tokens == 0 || pass->bound);
      PIE_CHECK(pass->bound || pass->claims.empty());
      if (!pass->admitted) continue;
      PIE_CHECK(pass->pages.size() == pass->shape.pages.size());
      PIE_CHECK(pages_.ready(pass->frames));
      for (size_t i = 0; i < pass->pages.size(); ++i)
        PIE_CHECK(pages_.frame_table()[pass->frames[i]].page == pass->pages[i]);
    }
  }
  PIE_CHECK(pending == pending_);
}

}  // namespace pie::sched
