#include "base/work_queue.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"

namespace pie {
namespace {

constexpr size_t kThreadNameMax = 15;  // pthread_setname_np

uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

struct WorkQueue::Ticket::State {
  Job job;
  std::shared_ptr<Quota> cpu;
  uint64_t place = 0;  ///< in the order of arrival
  std::atomic<bool> cancelled{false};
};

void WorkQueue::Ticket::cancel() { state_->cancelled = true; }

WorkQueue::WorkQueue(Config config)
    : config_([&config] {
        if (config.owner_running_max == 0)
          config.owner_running_max = std::max(1U, config.thread_count - 1);
        return std::move(config);
      }()) {
  start_threads(threads_, config_.thread_count, [this] { run(); }, [this] { end(Rest::kDrop); });
  for (auto& thread : threads_)
    pthread_setname_np(thread.native_handle(), config_.name.substr(0, kThreadNameMax).c_str());
}

WorkQueue::~WorkQueue() { stop(Rest::kDrop); }

Result<WorkQueue::Ticket> WorkQueue::post(const std::string& owner, Job job,
                                          std::shared_ptr<Quota> cpu) {
  auto state = std::make_shared<Ticket::State>();
  state->job = std::move(job);
  state->cpu = std::move(cpu);
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return Error{ErrorCode::kUnavailable, "[" + config_.name + "] has stopped"};
    const auto found = owners_.find(owner);
    const size_t waiting = found == owners_.end() ? 0 : found->second.waiting.size();
    const bool is_owners = waiting >= config_.owner_pending_max;
    if (is_owners || waiting_count_ >= config_.pending_max)
      return Error{ErrorCode::kResourceExhausted,
                   "[" + config_.name + "] got " +
                       std::to_string(is_owners ? waiting : waiting_count_) + " jobs " +
                       (is_owners ? "of this user" : "of all users") +
                       " that wait, expected fewer; try again when some are done"};
    if (found == owners_.end()) owners_[owner].had_ns = level_ns_;
    state->place = ++last_place_;
    owners_[owner].waiting.push_back(state);
    ++waiting_count_;
    // Under the lock: once it is let go of, the job may be done and the queue destroyed.
    changed_.notify_one();
  }
  return Ticket(std::move(state));
}

Result<WorkQueue::Ticket> WorkQueue::post_once(const std::string& owner, std::function<void()> job,
                                               std::shared_ptr<Quota> cpu) {
  return post(
      owner,
      [job = std::move(job)] {
        job();
        return Next::kDone;
      },
      std::move(cpu));
}

size_t WorkQueue::pending() const {
  const std::lock_guard lock(mutex_);
  return waiting_count_ + running_count_;
}

void WorkQueue::stop(Rest rest) {
  end(rest);
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
}

void WorkQueue::end(Rest rest) {
  std::vector<std::deque<StateRef>>
      dropped;  // destroyed after the lock: what jobs hold may call us
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (rest == Rest::kDrop) {
      dropping_ = true;
      for (auto& [name, owner] : owners_) dropped.push_back(std::move(owner.waiting));
      for (auto& [name, owner] : owners_) owner.waiting.clear();
      waiting_count_ = 0;
    }
  }
  changed_.notify_all();
}

WorkQueue::Owners::iterator WorkQueue::next_owner() {
  auto best = owners_.end();
  for (auto one = owners_.begin(); one != owners_.end(); ++one) {
    const Owner& owner = one->second;
    if (owner.waiting.empty() || owner.running >= config_.owner_running_max) continue;
    const auto rank = [](const Owner& o) { return std::pair(o.had_ns, o.waiting.front()->place); };
    if (best == owners_.end() || rank(owner) < rank(best->second)) best = one;
  }
  return best;
}

void WorkQueue::take_turn(std::unique_lock<std::mutex>& lock, Owners::iterator owner) {
  StateRef state = std::move(owner->second.waiting.front());
  owner->second.waiting.pop_front();
  --waiting_count_;
  ++running_count_;
  ++owner->second.running;
  level_ns_ = std::max(level_ns_, owner->second.had_ns);
  lock.unlock();
  const uint64_t begin_ns = system_clock().now_ns(), begin_cpu_ns = thread_cpu_ns();
  Next next = Next::kDone;
  try {
    if (!state->cancelled) next = state->job();
  } catch (const std::exception& failure) {  // third-party code below; the job's caller waits
    log::error("{}: a job ended with: {}", config_.name, failure.what());
  }
  const bool is_over = next == Next::kDone || state->cancelled;
  if (is_over)
    state->job = nullptr;  // what it holds may be the last of an instance: not under lock
  if (state->cpu) state->cpu->add(thread_cpu_ns() - begin_cpu_ns);
  const uint64_t took_ns = system_clock().now_ns() - begin_ns;
  lock.lock();
  owner->second.had_ns += took_ns;
  --owner->second.running;
  --running_count_;
  if (!is_over && !dropping_) {
    // At the head: the jobs of one owner are done in order.
    owner->second.waiting.push_front(std::move(state));
    ++waiting_count_;
  }
  if (owner->second.running == 0 && owner->second.waiting.empty()) owners_.erase(owner);
  changed_.notify_all();
  if (state) {
    lock.unlock();
    state = nullptr;
    lock.lock();
  }
}

void WorkQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto owner = next_owner();
    if (owner != owners_.end()) {
      take_turn(lock, owner);
      continue;
    }
    if (stopped_ && waiting_count_ == 0) return;
    changed_.wait(lock);
  }
}

}  // namespace pie
