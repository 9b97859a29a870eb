#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/quota.h"
#include "base/result.h"

namespace pie {

/// Threads for work that takes its time and that somebody in particular asked for: compiling,
/// tokenizing, disks. Bounded for each owner and in all; fair between owners, who get the threads
/// in proportion to the time that they have had; charged; cancelled with whoever wants the result.
/// Thread-safe.
class WorkQueue {
 public:
  struct Config {
    std::string name;  ///< in refusals, and of the threads
    uint32_t thread_count = 1;
    uint32_t owner_running_max = 0;  ///< threads that one owner may have; 0 = all but one
    uint32_t owner_pending_max = 1'024;
    uint32_t pending_max = 65'536;
  };
  enum class Next { kDone, kAgain };  ///< kAgain: more is to do, when it is this owner's turn
  /// A job, or one piece of it; pieces of a few milliseconds keep the queue fair. What it throws is
  /// logged and ends the job.
  using Job = std::function<Next()>;

  /// One job. Dropping it changes nothing.
  class Ticket {
   public:
    /// The job does not begin any more, and no piece of it follows the one that runs. What waits is
    /// let go of when its turn comes.
    void cancel();

   private:
    friend class WorkQueue;
    struct State;
    explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  explicit WorkQueue(Config config);
  ~WorkQueue();  ///< as stop(kDrop)
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// Appends a job to its owner's line: one thread takes them in the order they came. `cpu`: the
  /// quota that its processor time is counted in; may be null. kResourceExhausted when the owner
  /// has, or all have, too many that wait; kUnavailable after stop().
  Result<Ticket> post(const std::string& owner, Job job, std::shared_ptr<Quota> cpu = nullptr);
  /// The same for a job of one piece.
  Result<Ticket> post_once(const std::string& owner, std::function<void()> job,
                           std::shared_ptr<Quota> cpu = nullptr);

  /// Jobs that wait, and that run.
  size_t pending() const;

  enum class Rest { kFinish, kDrop };
  /// Finishes the pieces that run, finishes or drops what waits, and joins the threads.
  void stop(Rest rest);

 private:
  using StateRef = std::shared_ptr<Ticket::State>;
  struct Owner {
    std::deque<StateRef> waiting;
    uint32_t running = 0;
    uint64_t had_ns = 0;  ///< thread time, from the level at which the owner came
  };
  using Owners = std::map<std::string, Owner>;

  void run();
  /// stop() without the wait.
  void end(Rest rest);
  /// The owner who has had the least and may have a thread; end() when there is none.
  Owners::iterator next_owner();
  void take_turn(std::unique_lock<std::mutex>& lock, Owners::iterator owner);

  const Config config_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Owners owners_;  ///< those with jobs
  size_t waiting_count_ = 0;
  size_t running_count_ = 0;
  uint64_t last_place_ = 0;
  uint64_t level_ns_ = 0;  ///< what the owner served last had had: newcomers begin here
  bool stopped_ = false, dropping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace pie
