#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "base/priority.h"
#include "base/strong_id.h"
#include "kv/page_map.h"
#include "sched/command.h"
#include "sched/step_pages.h"

namespace pie::sched {

struct SchedulerConfig {
  uint32_t step_tokens_max = 512;  ///< token budget of a step
  uint32_t page_size = 16;
  uint32_t scratch_pages_max = UINT32_MAX;  ///< of a step's passes without cache, each rounded up
  uint32_t short_pass_tokens_max = 16;  ///< passes up to this length go before longer ones of their
                                        ///< priority: decodes run beside prefill, not behind it
  uint32_t long_chunk_tokens_min = 16;  ///< what is left to longer passes beside decodes
  uint32_t starved_steps = 16;  ///< a queue that was passed over this often goes before all others
};

/// Whether, when nobody in line can go on, the oldest one that the free pages suffice for may.
enum class Overtaking : uint8_t { kNo, kYes };

/// The command queues of all instances, and which commands make up the next step.
///
/// Commands of one queue take effect in order. A step takes passes from the heads of the queues:
/// priority first, then short before long, then oldest instance first; what is left of the token
/// budget goes to further passes of the same queues. Two passes never share a step when one writes
/// a page that the other one touches. Passes that need pages get them in line, oldest instance
/// first. Whole pages at the beginning of a pass that somebody of its domain has computed are not
/// computed again, and when somebody is at it, the pass waits for them.
///
/// No threads, no clock: a turn is plan(), execution by the caller, finish(). Commands come between
/// turns only. The page map outlives the scheduler.
class Scheduler {
 public:
  Scheduler(const SchedulerConfig& config, kv::PageMap& pages);

  void open_queue(QueueId queue, InstanceId instance);
  /// The queue takes no more commands: it is gone when those that it has are done.
  void close_queue(QueueId queue);
  /// Unknown ids are ignored.
  void set_priority(QueueId queue, Priority priority);

  /// Appends; the queue is open. Pins the pass's slots until it is done or dropped.
  void push_pass(QueueId queue, CommandId id, PassShape shape);
  /// Takes effect when the queue gets there, the export that it needs was made, and no pass under
  /// way writes what it shares or uses what it replaces. Pins all slots until then.
  void push_share(QueueId queue, CommandId id, ShareShape shape);
  /// Takes effect when everything before it in the queue is done.
  void push_marker(QueueId queue, CommandId id);

  /// The next step, of at most `mixed_tokens_max` tokens while programs decode beside longer passes
  /// (but for those without cache, which are not cut). Nothing in `chunks` and `completed`: nothing
  /// to do until a command comes, or, when passes wait for pages, until the caller lets them
  /// overtake.
  Plan plan(Overtaking overtaking, uint32_t mixed_tokens_max = UINT32_MAX);
  /// The step that plan() returned was executed. Passes of chunks in `failed` (by index) are done
  /// all the same.
  void finish(const Plan& plan, const std::set<size_t>& failed = {});
  /// Ends a pass before its time, e.g. after a failed step; what follows in its queue goes on.
  void drop_pass(QueueId queue, CommandId pass);

  /// Moves cold pages out of the pool: of instances that are paused (waiting for something that is
  /// not this engine), the coldest first; and, when somebody waits in line, of those behind the
  /// first one, the youngest first. As many as the first one in line needs, or as keep a few free.
  Room make_room(const std::set<InstanceId>& paused);

  /// Whether the first one in line lacks pages that are not on their way; whether few are free.
  bool pages_are_needed() const;
  bool pages_are_short() const;

  /// When stuck: drops the first pass of the youngest instance that waits and holds pages.
  std::optional<CommandId> evict_youngest();

  /// Drops all commands and queues of an instance and returns them, oldest first of each queue.
  std::vector<CommandId> close_instance(InstanceId instance);

  uint32_t pending_count() const { return pending_; }
  size_t queue_count() const { return queues_.size(); }

  /// Ends the process (PIE_CHECK) when queues, pins and pages disagree.
  void check_invariants() const;

 private:
  struct Pass {
    PassShape shape;
    uint32_t done_tokens = 0;
    uint32_t found_tokens = 0;        // of these, not computed by itself
    std::vector<kv::FrameId> frames;  // in the order of shape.pages; from when it is bound
    std::vector<KvPageId> pages;      // likewise; from when it is admitted
    std::vector<kv::PrefixId> claims;
    std::pair<kv::PrefixId, uint64_t> awaited;  // a page, and who computes it
    bool bound = false;     // it has its pages, though some may be on their way from the disk
    bool admitted = false;  // they are there
    bool waits = false;     // for pages
  };
  /// What became of a pass that needs pages; kAwaitsOther: of what another pass is computing.
  enum class BindResult { kBound, kMustWait, kAwaitsOther };
  enum class Place { kInLine, kOutOfLine };
  struct Marker {};
  struct Share {
    ShareShape shape;
  };
  struct QueuedCommand {
    CommandId id;
    std::variant<Pass, Marker, Share> what;
  };
  struct Queue {
    QueueId id;
    InstanceId instance;
    Priority priority = Priority::kNormal;
    uint32_t passed_over = 0;  // steps since its head could have run and did not
    bool closing = false;      // goes with its last command
    std::deque<QueuedCommand> commands;
  };
  using Age = std::pair<InstanceId, QueueId>;  // smaller is older
  struct Candidate {
    Queue* queue;
    size_t next = 0;  // index of the command that may still join the step
  };
  /// Tokens that a step has room for; of these, in long passes that can be cut.
  struct Budget {
    uint32_t all, long_ones;
  };

  Queue& queue(QueueId id);
  enum class ChunkOutcome { kDone, kFailed };
  void finish_chunk(const PassChunk& chunk, ChunkOutcome outcome);
  /// It has no commands any more.
  void rest(QueueId id);
  void push(QueueId queue, QueuedCommand command);
  void drain(Queue& queue, std::vector<CommandId>& completed);
  bool can_share(const ShareShape& shape) const;
  void share(const ShareShape& shape);
  /// Counts an admitted pass's slots as in use (by = 1), or no longer (-1).
  void mark_use(const Pass& pass, int by);
  size_t first_written(const Pass& pass) const {
    return (pass.shape.context_len + pass.found_tokens) / config_.page_size;
  }
  /// Whether so many tokens behind `context_len` fill a page.
  bool fills_page(uint32_t context_len, uint32_t token_count) const {
    return context_len % config_.page_size + uint64_t{token_count} >= config_.page_size;
  }
  void end_pass(Queue& queue, size_t index);
  kv::Match find_prefix(const Pass& pass) const;
  bool still_awaits(const Queue& queue, Pass& pass, const kv::Match& match) const;
  BindResult bind(const Queue& queue, QueuedCommand& command, Plan& plan, Place place);
  void admit_when_ready(Pass& pass);
  bool admit_in_line(Plan& plan);
  bool head_is_done(const Queue& queue) const;
  bool admit_out_of_line(Plan& plan);
  std::vector<Candidate> find_candidates() const;
  Budget budget_for(const std::vector<Candidate>& candidates, uint32_t mixed_tokens_max,
                    Plan& plan);
  void choose(Plan& plan, uint32_t mixed_tokens_max);
  bool add_chunk(Candidate& candidate, Budget& budget, Plan& plan);
  bool is_stuck() const;
  std::set<InstanceId> waiting_instances() const;
  bool goes_before(const Queue& a, const Queue& b) const;
  bool is_short(const Queue& queue) const;
  bool starved(const Queue& queue) const { return queue.passed_over >= config_.starved_steps; }

  const SchedulerConfig config_;
  kv::PageMap& pages_;
  StepPages step_pages_;
  struct Use {
    int reads = 0, writes = 0;  // admitted passes
  };
  std::vector<Use> use_;  // by slot
  std::set<uint64_t> exports_pending_;
  std::map<QueueId, Queue> queues_;
  std::map<InstanceId, std::set<QueueId>> by_instance_;
  std::map<Age, Queue*> active_;  // queues that have commands, oldest instance first
  bool line_blocked_ = false;     // somebody waits for pages: nobody younger takes any
  uint32_t line_needs_ = 0;       // pages that the first one in line needs
  InstanceId line_first_;         // and who that is
  uint32_t pending_ = 0;
  uint32_t steps_since_decodes_ = UINT32_MAX;  // since a short pass was in a step
  uint32_t scratch_pages_ = 0;                 // that the step being built needs
};

}  // namespace pie::sched
