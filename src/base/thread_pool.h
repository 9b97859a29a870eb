#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace pie {

class ThreadPool;

/// One thread's view of a job: which of the job's threads it is, and how they share work.
class Team {
 public:
  Team(ThreadPool& pool, uint32_t index, uint32_t count)
      : pool_(pool), index_(index), count_(count) {}

  uint32_t index() const { return index_; }  ///< 0 is the caller of run()
  uint32_t count() const { return count_; }

  /// Waits until every thread of the job is here; what they wrote before is then visible to all.
  void meet();
  /// This thread's part of [0, total): contiguous, the parts differ by at most one.
  std::pair<uint32_t, uint32_t> share(uint32_t total) const;
  /// The next `step` of [0, total) that no thread has taken since the last meeting; empty when none
  /// are left. For work whose parts take unequal time.
  std::pair<uint32_t, uint32_t> take(uint32_t total, uint32_t step);
  /// As take(), but first from this thread's own part (share()), in order, and when nothing is left
  /// of it from those of others. For parts that are streamed from memory and take equal time,
  /// unless a thread had to wait for its core. Between two meetings always with the same arguments.
  std::pair<uint32_t, uint32_t> take_near(uint32_t total, uint32_t step);

 private:
  ThreadPool& pool_;
  uint32_t index_;
  uint32_t count_;
};

/// Threads that work on one job at a time together with whoever starts it.
///
/// Who waits (for a job, for the others) spins some microseconds and then sleeps in the kernel:
/// programs and the network run on the same cores. Threads are not pinned: the kernel can move one
/// away from a core that a program took.
class ThreadPool {
 public:
  /// `size` threads, the caller included; at least one.
  explicit ThreadPool(uint32_t size);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t size() const { return static_cast<uint32_t>(workers_.size()) + 1; }

  /// Calls job(team) on `count` threads, at most size(), the caller's among them; returns when all
  /// have returned. One caller at a time; not from within a job. The job must not throw.
  void run(uint32_t count, const std::function<void(Team&)>& job);
  /// Calls task(thread, i) for each i < total, on up to `count` threads.
  void for_each(uint32_t count, uint32_t total,
                const std::function<void(uint32_t thread, uint32_t index)>& task);

 private:
  friend class Team;
  struct alignas(64) Worker {
    std::atomic<uint32_t> job_number{0};
    std::thread thread;
  };
  /// What has been taken of one thread's part: the number of the last meeting before, then how
  /// much. A count from before an earlier meeting is as good as none, so that nobody has to clear
  /// it.
  struct alignas(64) Taken {
    std::atomic<uint64_t> of_meeting{0};
  };
  void work(Worker& worker, uint32_t index);
  /// Ends and joins the threads that were started.
  void stop();

  std::vector<Worker> workers_;
  std::vector<Taken> parts_;  ///< by thread
  const std::function<void(Team&)>* job_ = nullptr;
  uint32_t job_count_ = 0;
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> meeting_{1};
  alignas(64) std::atomic<uint32_t> taken_{0};
};

}  // namespace pie
