#include "base/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "base/check.h"

namespace pie {
namespace {

/// Pauses before a waiting thread sleeps, some 10 microseconds: longer than the others need to
/// finish their parts when all run, shorter than what a preempted one costs.
constexpr int kSpins = 400;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Until `value` is not `old` any more.
void wait_while(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

}  // namespace

void Team::meet() {
  const uint32_t meeting = pool_.meeting_.load(std::memory_order_relaxed);
  if (count_ == 1) {
    pool_.taken_.store(0, std::memory_order_relaxed);
    pool_.meeting_.store(meeting + 1, std::memory_order_relaxed);
    return;
  }
  if (pool_.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < count_) {
    wait_while(pool_.meeting_, meeting);
    return;
  }
  pool_.arrived_.store(0, std::memory_order_relaxed);
  pool_.taken_.store(0, std::memory_order_relaxed);
  // Sequentially consistent: notify_all() looks for sleepers by a load, which must not come before
  // this store is seen, or who is about to sleep is missed for good.
  pool_.meeting_.store(meeting + 1, std::memory_order_seq_cst);
  pool_.meeting_.notify_all();
}

std::pair<uint32_t, uint32_t> Team::share(uint32_t total) const {
  const auto bound = [&](uint32_t i) {
    return static_cast<uint32_t>(uint64_t{total} * i / count_);
  };
  return {bound(index_), bound(index_ + 1)};
}

std::pair<uint32_t, uint32_t> Team::take(uint32_t total, uint32_t step) {
  const uint32_t begin = pool_.taken_.fetch_add(step, std::memory_order_relaxed);
  if (begin >= total) return {total, total};
  return {begin, std::min(total, begin + step)};
}

std::pair<uint32_t, uint32_t> Team::take_near(uint32_t total, uint32_t step) {
  const uint64_t meeting = pool_.meeting_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count_; ++i) {
    const uint32_t owner = index_ + i < count_ ? index_ + i : index_ + i - count_;
    const auto [begin, end] = Team(pool_, owner, count_).share(total);
    std::atomic<uint64_t>& taken = pool_.parts_[owner].of_meeting;
    for (uint64_t seen = taken.load(std::memory_order_relaxed);;) {
      const uint64_t count = seen >> 32 == meeting ? seen & UINT32_MAX : 0;
      if (count >= end - begin) break;
      if (!taken.compare_exchange_weak(seen, meeting << 32 | (count + step),
                                       std::memory_order_relaxed)) {
        continue;
      }
      const auto from = begin + static_cast<uint32_t>(count);
      return {from, std::min(end, from + step)};
    }
  }
  return {total, total};
}

ThreadPool::ThreadPool(uint32_t size)
    : workers_(std::max(size, 1U) - 1), parts_(std::max(size, 1U)) {
  try {
    for (uint32_t i = 0; i < workers_.size(); ++i)
      workers_[i].thread = std::thread([this, i] { work(workers_[i], i + 1); });
  } catch (const std::system_error&) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  for (Worker& worker : workers_) {
    worker.job_number.fetch_add(1, std::memory_order_seq_cst);
    worker.job_number.notify_one();
  }
  for (Worker& worker : workers_)
    if (worker.thread.joinable()) worker.thread.join();
}

void ThreadPool::work(Worker& worker, uint32_t index) {
  for (uint32_t number = 0;; ++number) {
    wait_while(worker.job_number, number);
    if (stopping_.load(std::memory_order_relaxed)) return;
    Team team(*this, index, job_count_);
    (*job_)(team);
    team.meet();
  }
}

void ThreadPool::run(uint32_t count, const std::function<void(Team&)>& job) {
  PIE_CHECK(count >= 1 && count <= size());
  job_ = &job;
  job_count_ = count;
  taken_.store(0, std::memory_order_relaxed);
  for (uint32_t i = 0; i + 1 < count; ++i) {
    workers_[i].job_number.fetch_add(1, std::memory_order_seq_cst);  // as in meet()
    workers_[i].job_number.notify_one();
  }
  Team team(*this, 0, count);
  job(team);
  team.meet();
}

void ThreadPool::for_each(uint32_t count, uint32_t total,
                          const std::function<void(uint32_t thread, uint32_t index)>& task) {
  if (total == 0) return;
  run(std::min(count, total), [&](Team& team) {
    for (;;) {
      const auto [begin, end] = team.take(total, 1);
      if (begin == end) return;
      task(team.index(), begin);
    }
  });
}

}  // namespace pie
