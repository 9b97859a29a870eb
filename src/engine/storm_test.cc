// Many threads, random commands: run under ThreadSanitizer for races, anywhere for lost callbacks.
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <random>
#include <thread>

#include "engine/engine_harness.h"
#include "engine/local_engine.h"
#include "engine/recall_executor.h"

namespace pie::engine {
namespace {

constexpr uint64_t kThreads = 4;
constexpr int kCommands = 2500;
constexpr uint32_t kPages = 24;

struct Counts {
  std::atomic<int> passes_made{0};
  std::atomic<int> passes_done{0};
  std::atomic<int> syncs_made{0};
  std::atomic<int> syncs_done{0};
  std::atomic<int> closes_made{0};
  std::atomic<int> closes_done{0};
};

/// One thread's programs: opens, closes and drives instances of its own, sensibly or not.
class Driver {
 public:
  Driver(Engine& engine, Counts& counts, uint64_t thread)
      : engine_(engine), counts_(counts), random_(thread + 1), next_(thread * 1'000'000 + 1) {}

  void run() {
    open();
    for (int i = 0; i < kCommands; ++i) act();
    close_current();
  }

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  QueueId queue() { return queues_[below(static_cast<uint32_t>(queues_.size()))]; }

  void open() {
    instance_ = InstanceId{next_++};
    engine_.open_instance(instance_, {});
    queues_ = {engine_.create_queue(instance_), engine_.create_queue(instance_)};
  }

  void close_current() {
    ++counts_.closes_made;
    engine_.close_instance(instance_, [&counts = counts_] { ++counts.closes_done; });
  }

  void act() {
    const uint32_t what = below(100);
    if (what < 2) {
      close_current();
      open();
    } else if (what < 20) {
      static_cast<void>(engine_.allocate(queue(), below(3), below(4)));
    } else if (what < 30) {
      static_cast<void>(engine_.deallocate(queue(), below(2), std::vector{below(12)}));
    } else if (what < 35) {
      engine_.set_priority(queue(), static_cast<Priority>(below(3)));
    } else if (what < 40) {
      engine_.instance_blocked(instance_);
    } else if (what < 50) {
      const Result<void> made =
          engine_.synchronize(queue(), [&counts = counts_](bool) { ++counts.syncs_done; });
      counts_.syncs_made += made.ok() ? 1 : 0;
    } else if (what < 55) {
      EXPECT_LE(engine_.kv_pages_used(instance_), kPages);
      EXPECT_LE(engine_.stats().kv_pages_used, kPages);
    } else if (what < 57) {
      wait();
    } else {
      pass();
    }
  }

  /// Until the engine has done what this program asked for, or refused it for want of pages.
  void wait() {
    for (const QueueId queue : queues_) {
      Pending<bool> reached;
      if (engine_.synchronize(queue, reached.callback()).ok()) reached.get();
    }
  }

  void pass() {
    ForwardPass pass;
    for (uint32_t i = 0; i <= below(12); ++i) {
      pass.inputs.push_back({.token = below(RecallExecutor::kVocab + 1)});
      if (below(20) == 0) pass.inputs.back().embedding_slot = below(3);
    }
    for (uint32_t i = below(5); i > 0; --i) pass.pages.emplace_back(below(10));
    pass.last_page_len = below(6);
    if (below(3) > 0) pass.tokens = {{.index = below(8), .sampler = {.temperature = 1.0F}}};
    if (below(5) == 0) pass.embeddings = {{.index = 0, .slot = below(3)}};
    const auto done = [&counts = counts_](const Result<ForwardOutput>&) { ++counts.passes_done; };
    if (engine_.submit(queue(), std::move(pass), done).ok()) ++counts_.passes_made;
  }

  Engine& engine_;
  Counts& counts_;
  std::mt19937_64 random_;
  uint64_t next_;
  InstanceId instance_;
  std::vector<QueueId> queues_;
};

TEST(Storm, every_command_of_every_thread_is_answered_once_and_nothing_is_left) {
  auto probe = std::make_shared<RecallProbe>();
  auto executor = std::make_unique<RecallExecutor>(
      exec::ExecutorConfig{.page_count = kPages, .page_size = 4, .step_tokens_max = 16}, probe);
  std::unique_ptr<Engine> engine =
      LocalEngine::open(nullptr, RecallExecutor::kVocab, RecallExecutor::kEmbedding,
                        std::move(executor), {.gather_fraction = 0.25, .seed = 1}, system_clock())
          .value();
  Counts counts;
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] { Driver(*engine, counts, thread).run(); });
  }
  for (std::thread& thread : threads) thread.join();
  close(*engine, InstanceId{1});  // behind all that the threads said
  EXPECT_EQ(counts.passes_done, counts.passes_made);
  EXPECT_EQ(counts.syncs_done, counts.syncs_made);
  EXPECT_EQ(counts.closes_done, counts.closes_made);
  EXPECT_GT(counts.passes_made, 500);
  EXPECT_GT(engine->stats().steps, 100u);
  EXPECT_EQ(engine->stats().kv_pages_used, 0u);
  EXPECT_EQ(engine->stats().embeddings_used, 0u);
  EXPECT_EQ(engine->stats().instance_count, 0u);
}

}  // namespace
}  // namespace pie::engine
