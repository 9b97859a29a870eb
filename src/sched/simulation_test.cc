// Random programs against the scheduler and the page accounting, checked after every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "kv/page_map.h"
#include "kv/pointer_table.h"
#include "sched/scheduler.h"

namespace pie::sched {
namespace {

constexpr uint32_t kPageSize = 4;
constexpr uint32_t kPageCount = 48;
constexpr uint32_t kBudget = 24;

struct Program {
  uint64_t id = 0;
  std::vector<QueueId> queues;
  kv::PointerTable table;
  std::map<QueueId, std::vector<CommandId>> order;  // what has to take effect, in this order
  uint64_t submitted_at = 0;                        // step of the newest command
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed),
        map_({kPageCount, kPageSize, 0, seed}),
        scheduler_({.step_tokens_max = kBudget, .page_size = kPageSize}, map_) {}

  void run(uint64_t steps) {
    for (now_ = 0; now_ < steps; ++now_) {
      for (uint32_t i = below(3); i > 0; --i) act();
      step();
      if (testing::Test::HasFatalFailure()) return;
    }
    while (!programs_.empty()) close(programs_.begin()->first);
    EXPECT_EQ(map_.live_count(), 0u) << "everything is free at the end";
    source_.give_back(map_.take_dead_slots());
    EXPECT_EQ(source_.taken_count(), 0u);
  }

  uint64_t evictions = 0;
  uint64_t computed_tokens = 0;
  uint64_t overtakings = 0;

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  void act() {
    const uint32_t what = below(100);
    if (programs_.empty() || (what < 4 && programs_.size() < 12)) return open();
    auto at = programs_.begin();
    std::advance(at, below(static_cast<uint32_t>(programs_.size())));
    Program& program = at->second;
    if (what < 6) return close(program.id);
    if (what < 30) return allocate(program);
    if (what < 40) return deallocate(program);
    const QueueId queue = program.queues[below(static_cast<uint32_t>(program.queues.size()))];
    if (what < 43) {
      scheduler_.set_priority(queue, static_cast<Priority>(below(3)));
    } else if (what < 45) {
      replace_queue(program, queue);
    } else if (what < 48) {
      scheduler_.push_marker(queue, next_command(program, queue));
    } else {
      pass(program, queue);
    }
  }

  void open() {
    Program program{.id = ++last_instance_};
    for (uint32_t i = 0; i <= below(3); ++i) {
      program.queues.push_back(QueueId{++last_queue_});
      scheduler_.open_queue(program.queues.back(), InstanceId{program.id});
    }
    programs_.emplace(program.id, std::move(program));
  }

  /// The program lets go of a queue, whose commands still take effect, and makes another one.
  void replace_queue(Program& program, QueueId queue) {
    const size_t before = scheduler_.queue_count();
    scheduler_.close_queue(queue);
    ASSERT_EQ(scheduler_.queue_count(), before - (program.order[queue].empty() ? 1 : 0));
    QueueId& place = *std::ranges::find(program.queues, queue);
    place = QueueId{++last_queue_};
    scheduler_.open_queue(place, InstanceId{program.id});
  }

  void close(uint64_t id) {
    const Program& program = programs_.at(id);
    std::set<CommandId> expected;
    for (const auto& [queue, order] : program.order) expected.insert(order.begin(), order.end());
    const std::vector<CommandId> dropped = scheduler_.close_instance(InstanceId{id});
    ASSERT_EQ(std::set(dropped.begin(), dropped.end()), expected);
    for (const kv::SlotId slot : program.table.slots()) map_.release(slot);
    ASSERT_EQ(map_.held_count(InstanceId{id}), 0u);
    programs_.erase(id);
  }

  void allocate(Program& program) {
    for (uint32_t i = below(6); i > 0; --i) {
      if (program.table.mapped_count() < kPageCount) program.table.map(source_.take());
    }
    program.table.check_invariants();
  }

  void deallocate(Program& program) {
    std::vector<kv::SlotId> slots;
    for (uint32_t i = below(4); i > 0; --i) {
      if (const auto slot = program.table.unmap(below(kPageCount))) slots.push_back(*slot);
    }
    for (const kv::SlotId slot : slots) map_.release(slot);
  }

  void pass(Program& program, QueueId queue) {
    std::vector<kv::SlotId> slots = program.table.slots();
    std::shuffle(slots.begin(), slots.end(), random_);
    slots.resize(std::min<size_t>(slots.size(), below(12)));
    PassShape shape{.pages = slots, .after_earlier_only = below(10) == 0};
    const auto room = static_cast<uint32_t>(slots.size()) * kPageSize;
    shape.token_count = 1 + below(below(2) == 0 ? 1 : std::max(1U, room == 0 ? kBudget : room));
    shape.context_len = room == 0 ? 0 : room - shape.token_count;
    scheduler_.push_pass(queue, next_command(program, queue), shape);
  }

  CommandId next_command(Program& program, QueueId queue) {
    const CommandId id{++last_command_};
    program.order[queue].push_back(id);
    program.submitted_at = now_;
    owner_[id] = {program.id, queue};
    return id;
  }

  /// A command takes effect: it has to be the first of its queue.
  void takes_effect(CommandId id) {
    const auto [instance, queue] = owner_.at(id);
    auto& order = programs_.at(instance).order.at(queue);
    ASSERT_FALSE(order.empty());
    ASSERT_EQ(order.front(), id) << "commands of a queue take effect in order";
    order.erase(order.begin());
    owner_.erase(id);
  }

  void step() {
    Plan plan = scheduler_.plan(Overtaking::kNo);
    for (const CommandId id : plan.completed) takes_effect(id);
    if (plan.waiting) {
      plan = scheduler_.plan(Overtaking::kYes);
      overtakings += plan.chunks.empty() ? 0 : 1;
    }
    check_chunks(plan);
    if (testing::Test::HasFatalFailure()) return;
    if (plan.stuck) evict();
    scheduler_.finish(plan);
    for (const PassChunk& chunk : plan.chunks) {
      if (chunk.last) takes_effect(chunk.pass);
    }
    source_.give_back(map_.take_dead_slots());
    scheduler_.check_invariants();
    uint32_t held = 0;
    for (const auto& [owner, count] : map_.holders()) held += count;
    ASSERT_EQ(held, map_.live_count());
  }

  void check_chunks(const Plan& plan) {
    uint32_t tokens = 0;
    std::map<KvPageId, int> writers;
    for (const PassChunk& chunk : plan.chunks) {
      tokens += chunk.token_count;
      if (chunk.pages.empty()) continue;
      ASSERT_GE(chunk.pages.size() * kPageSize, chunk.context_len + chunk.token_count);
      const auto written = chunk.pages.subspan(chunk.context_len / kPageSize);
      for (const KvPageId page : written) ASSERT_EQ(writers[page]++, 0) << "two writers in a step";
    }
    for (const PassChunk& chunk : plan.chunks) {
      const size_t read = chunk.pages.empty() ? 0 : chunk.context_len / kPageSize;
      for (const KvPageId page : chunk.pages.first(read)) {
        ASSERT_FALSE(writers.contains(page)) << "a page is read and written in one step";
      }
    }
    ASSERT_LE(tokens, kBudget);
    computed_tokens += tokens;
  }

  void evict() {
    const std::optional<CommandId> id = scheduler_.evict_youngest();
    ASSERT_TRUE(id);
    ++evictions;
    const uint64_t instance = owner_.at(*id).first;
    for (const auto& [other, program] : programs_) {
      if (other <= instance) continue;
      ASSERT_EQ(map_.held_count(InstanceId{other}), 0u) << "a younger one that holds pages stays";
    }
    takes_effect(*id);
    close(instance);
  }

  std::mt19937_64 random_;
  kv::PageMap map_;
  Scheduler scheduler_;
  kv::SlotSource source_;
  std::map<uint64_t, Program> programs_;
  std::map<CommandId, std::pair<uint64_t, QueueId>> owner_;
  uint64_t now_ = 0;
  uint64_t last_instance_ = 0;
  uint32_t last_queue_ = 0;
  uint64_t last_command_ = 0;
};

TEST(Simulation, random_programs_keep_every_invariant) {
  const char* given = std::getenv("PIE_TEST_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  uint64_t evictions = 0;
  uint64_t overtakings = 0;
  for (uint64_t seed = first; seed < first + 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "run again with PIE_TEST_SEED=" << seed);
    Simulation simulation(seed);
    simulation.run(10'000);
    if (HasFatalFailure()) return;
    EXPECT_GT(simulation.computed_tokens, 10'000u) << "the programs get somewhere";
    evictions += simulation.evictions;
    overtakings += simulation.overtakings;
  }
  EXPECT_GT(evictions, 0u) << "the pool is small enough to run dry";
  EXPECT_GT(overtakings, 0u);
}

}  // namespace
}  // namespace pie::sched
