// Random programs that continue, rewind, fork, pause and end, over a pool that is too small: with
// prefix cache and swap, checked to see exactly what each would see alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "kv/page_map.h"
#include "sched/scheduler.h"

namespace pie::sched {
namespace {

constexpr uint32_t kSize = 4;  // tokens of a page
constexpr uint32_t kPages = 40;
constexpr uint32_t kSwapPages = 600;
constexpr uint32_t kSmallSwapPages = 60;
constexpr uint32_t kBudget = 24;
using Page = std::array<uint64_t, kSize>;

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9E3779B97F4A7C15ULL;
  return x ^ (x >> 29);
}

/// What a slot's keys and values would be: they depend on the token and all before it.
uint64_t value_after(uint64_t before, uint32_t token) { return mix(before + token + 1); }

struct Agent {
  uint64_t id = 0;
  uint32_t user = 0;
  QueueId queue;
  std::vector<kv::SlotId> slots;
  std::vector<uint32_t> tokens;  // as they will be when its pass is done
  bool paused = false;
  std::optional<CommandId> pass;  // under way, or a fork
  uint32_t context_len = 0, token_count = 0;
};

class CacheSimulation {
 public:
  enum class Disk { kGood, kBad };  // a bad one is small, and fails at times
  CacheSimulation(uint64_t seed, Disk disk)
      : random_(seed),
        bad_disk_(disk == Disk::kBad),
        map_({kPages, kSize, bad_disk_ ? kSmallSwapPages : kSwapPages, seed}),
        scheduler_({.step_tokens_max = kBudget, .page_size = kSize}, map_),
        memory_(kPages),
        disk_(kSwapPages) {}

  void run(uint64_t steps) {
    for (uint64_t step = 0; step < steps; ++step) {
      for (uint32_t i = below(3); i > 0; --i) act();
      turn();
      if (testing::Test::HasFatalFailure()) return;
    }
    while (!agents_.empty()) close(agents_.begin()->first);
    while (!io_.empty()) disk_step();
    source_.give_back(map_.take_dead_slots());
    scheduler_.check_invariants();
    EXPECT_EQ(source_.taken_count(), 0u);
    EXPECT_EQ(map_.live_count(), 0u) << "nothing is held but what the cache keeps";
    EXPECT_EQ(map_.frame_table().swap_used(), 0u);
  }

  uint64_t computed = 0, found = 0, stored = 0, loaded = 0, evicted = 0, lost = 0, passes = 0;

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  void act() {
    if (agents_.empty() || (below(100) < 6 && agents_.size() < 24)) {
      open();
      return;
    }
    auto at = agents_.begin();
    std::advance(at, below(static_cast<uint32_t>(agents_.size())));
    Agent& agent = at->second;
    const uint32_t what = below(100);
    if (what < 3) return close(agent.id);
    if (agent.pass) return;
    if (what < 30) {
      agent.paused = true;
    } else if (what < 36 && agents_.size() < 24) {
      fork(agent);
    } else {
      go_on(agent);
    }
  }

  Agent& open() {
    const uint64_t id = ++last_id_;
    Agent& agent = agents_[id];
    agent.id = id;
    agent.user = 1 + below(2);
    agent.queue = QueueId{static_cast<uint32_t>(id)};
    scheduler_.open_queue(agent.queue, InstanceId{id});
    return agent;
  }

  void close(uint64_t id) {
    const Agent& agent = agents_.at(id);
    const auto dropped = scheduler_.close_instance(InstanceId{id});
    ASSERT_EQ(dropped.size(), agent.pass ? 1u : 0u);
    for (const kv::SlotId slot : agent.slots) map_.release(slot);
    agents_.erase(id);
  }

  void fork(Agent& parent) {
    Agent& child = open();
    child.user = parent.user;
    child.tokens = parent.tokens;
    for (size_t i = 0; i < parent.slots.size(); ++i) child.slots.push_back(source_.take());
    child.pass = CommandId{++last_command_};
    child.token_count = 0;
    scheduler_.push_share(child.queue, *child.pass,
                          {InstanceId{child.id}, parent.slots, child.slots, 0, 0});
  }

  /// A pass at the end, or after taking some tokens back.
  void go_on(Agent& agent) {
    if (below(6) == 0 && !agent.tokens.empty())
      agent.tokens.resize(agent.tokens.size() - std::min<size_t>(agent.tokens.size(), below(9)));
    agent.context_len = static_cast<uint32_t>(agent.tokens.size());
    if (agent.context_len > 60) return close(agent.id);
    agent.token_count = 1 + below(below(3) == 0 ? 40 : 3);
    PassShape shape{.token_count = agent.token_count, .context_len = agent.context_len};
    shape.content.domain = agent.user;
    for (uint32_t i = 0; i < agent.token_count; ++i) {
      // Few different texts, so that many begin alike.
      const auto position = static_cast<uint32_t>(agent.tokens.size());
      agent.tokens.push_back(position % 7 == 6 ? below(2) : position);
      shape.content.words.insert(shape.content.words.end(), {agent.tokens.back(), position, 0});
      shape.content.ends.push_back(static_cast<uint32_t>(shape.content.words.size()));
    }
    shape.must_compute = below(3) == 0 ? agent.token_count : agent.token_count - 1;
    while (agent.slots.size() * kSize < agent.tokens.size()) agent.slots.push_back(source_.take());
    const size_t used = (agent.tokens.size() + kSize - 1) / kSize;
    shape.pages.assign(agent.slots.begin(), agent.slots.begin() + static_cast<ptrdiff_t>(used));
    agent.pass = CommandId{++last_command_};
    agent.paused = false;
    ++passes;
    scheduler_.push_pass(agent.queue, *agent.pass, std::move(shape));
  }

  void turn() {
    Plan plan = scheduler_.plan(Overtaking::kNo);
    carry_out(plan);
    make_room();
    if (plan.waiting && io_.empty()) {
      plan = scheduler_.plan(Overtaking::kYes);
      carry_out(plan);
      if (plan.stuck && io_.empty()) evict();
    }
    scheduler_.check_invariants();
    for (uint32_t i = below(12); i > 0 && !io_.empty(); --i) disk_step();
    source_.give_back(map_.take_dead_slots());
    scheduler_.check_invariants();
  }

  void carry_out(const Plan& plan) {
    for (const kv::PageSetup& page : plan.bindings.pages)
      memory_[page.to.value] = page.from ? memory_[page.from->value] : Page{};
    for (const kv::PageLoad& load : plan.bindings.loads) io_.push_back({true, load, {}});
    for (const PrefixHit& hit : plan.hits) found += hit.token_count;
    for (const CommandId id : plan.completed) done(id);
    for (const CommandId id : plan.lost) {
      ++lost;
      close_owner(id);
    }
    const bool ok = below(50) != 0;
    for (const PassChunk& chunk : plan.chunks) {
      if (ok) compute(chunk);
      if (!ok) spoil(chunk);
    }
    std::set<size_t> failed;
    for (size_t i = 0; !ok && i < plan.chunks.size(); ++i) failed.insert(i);
    scheduler_.finish(plan, failed);
    for (const PassChunk& chunk : plan.chunks) {
      if (!ok) {
        if (!chunk.last) scheduler_.drop_pass(chunk.queue, chunk.pass);
        agents_.at(chunk.instance.value).pass.reset();
        close(chunk.instance.value);
      } else if (chunk.last) {
        done(chunk.pass);
      }
    }
  }

  /// What a failed step leaves.
  void spoil(const PassChunk& chunk) {
    for (uint32_t i = 0; i < chunk.token_count; ++i) {
      const uint32_t slot = chunk.context_len + i;
      memory_[chunk.pages[slot / kSize].value][slot % kSize] = 666;
    }
  }

  void compute(const PassChunk& chunk) {
    const Agent& agent = agents_.at(chunk.instance.value);
    ASSERT_EQ(agent.pass, chunk.pass);
    ASSERT_EQ(chunk.context_len, agent.context_len + chunk.first_token);
    const auto at = [&](uint32_t slot) -> uint64_t& {
      return memory_[chunk.pages[slot / kSize].value][slot % kSize];
    };
    uint64_t value = agent.user;
    for (uint32_t slot = 0; slot < chunk.context_len; ++slot) {
      value = value_after(value, agent.tokens[slot]);
      ASSERT_EQ(at(slot), value) << "agent " << agent.id << " slot " << slot;
    }
    for (uint32_t i = 0; i < chunk.token_count; ++i) {
      value = value_after(value, agent.tokens[chunk.context_len + i]);
      at(chunk.context_len + i) = value;
    }
    computed += chunk.token_count;
  }

  void done(CommandId id) {
    for (auto& [instance, agent] : agents_) {
      if (agent.pass == id) agent.pass.reset();
    }
  }

  void make_room() {
    std::set<InstanceId> paused;
    for (const auto& [id, agent] : agents_) {
      if (agent.paused && !agent.pass) paused.insert(InstanceId{id});
    }
    for (const kv::PageStore& store : scheduler_.make_room(paused).stores)
      io_.push_back({false, {}, store});
  }

  void disk_step() {
    const Io io = io_.front();
    io_.pop_front();
    const bool ok = !bad_disk_ || below(20) != 0;
    const auto outcome = ok ? kv::DiskOutcome::kDone : kv::DiskOutcome::kFailed;
    if (io.is_load) {
      if (ok) memory_[io.load.to.value] = disk_[io.load.from.page];
      ++loaded;
      map_.loaded(io.load.frame, outcome);
    } else {
      if (ok) disk_[io.store.to.page] = memory_[io.store.from.value];
      ++stored;
      map_.stored(io.store.frame, outcome);
    }
  }

  void evict() {
    const std::optional<CommandId> id = scheduler_.evict_youngest();
    if (!id) return;
    ++evicted;
    close_owner(*id);
  }

  /// Of a pass that the scheduler has ended.
  void close_owner(CommandId id) {
    for (auto& [instance, agent] : agents_) {
      if (agent.pass != id) continue;
      agent.pass.reset();
      return close(instance);
    }
    FAIL() << "a pass of nobody was ended";
  }

  struct Io {
    bool is_load;
    kv::PageLoad load;
    kv::PageStore store;
  };
  std::mt19937_64 random_;
  const bool bad_disk_;
  kv::PageMap map_;
  Scheduler scheduler_;
  std::vector<Page> memory_, disk_;
  std::deque<Io> io_;
  kv::SlotSource source_;
  std::map<uint64_t, Agent> agents_;
  uint64_t last_id_ = 0, last_command_ = 0;
};

/// PIE_TEST_SEED repeats one; PIE_TEST_STEPS makes it long (`make soak`).
uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

TEST(CacheSimulation, every_program_sees_what_it_would_see_alone) {
  const uint64_t first = from_environment("PIE_TEST_SEED", 1);
  const uint64_t steps = from_environment("PIE_TEST_STEPS", 40'000) / 10;
  uint64_t lost = 0;
  for (uint64_t seed = first; seed < first + 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "run again with PIE_TEST_SEED=" << seed);
    CacheSimulation simulation(
        seed, seed % 2 == 0 ? CacheSimulation::Disk::kBad : CacheSimulation::Disk::kGood);
    simulation.run(steps);
    if (HasFatalFailure()) return;
    EXPECT_GT(simulation.computed, steps / 4);
    EXPECT_GT(simulation.found, 0u);
    EXPECT_GT(simulation.stored, 0u);
    EXPECT_GT(simulation.loaded, 0u);
    EXPECT_TRUE(seed % 2 == 0 || simulation.evicted == 0) << "nothing dies that could wait";
    lost += simulation.lost;
    std::printf(
        "seed %lu: %lu passes, %lu tokens computed, %lu found, %lu pages stored, %lu "
        "loaded, %lu evicted, %lu lost\n",
        seed, simulation.passes, simulation.computed, simulation.found, simulation.stored,
        simulation.loaded, simulation.evicted, simulation.lost);
  }
  EXPECT_GT(lost, 0u) << "the disk fails often enough";
}

}  // namespace
}  // namespace pie::sched
