// The engine over an executor that remembers tokens: order, batching, closing, errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include "base/test_clock.h"
#include "engine/test_rig.h"

namespace pie::engine {
namespace {

TEST(Engine, chunked_prefill_and_decode_see_the_whole_sequence) {
  Rig s(64, 8);
  Sequence sequence(*s.engine, s.open(kA));
  const std::vector<TokenId> prompt = numbers(50, 100);
  EXPECT_EQ(sequence.generate(prompt, 30), expected_text(prompt, 30));
  EXPECT_EQ(s.probe->steps.front(), std::vector<uint32_t>{8}) << "in chunks of the step's budget";
}

TEST(Engine, instances_generate_the_same_alone_and_batched) {
  Rig s(256);
  std::vector<std::thread> threads;
  std::vector<std::vector<TokenId>> texts(8);
  for (uint32_t i = 0; i < 8; ++i) {
    const QueueId queue = s.open(InstanceId{i + 1});
    threads.emplace_back([&, i, queue] {
      texts[i] = Sequence(*s.engine, queue).generate(numbers(3 + i * 5, i * 50), 20);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < 8; ++i) {
    EXPECT_EQ(texts[i], expected_text(numbers(3 + i * 5, i * 50), 20)) << "instance " << i;
  }
}

TEST(Engine, what_is_submitted_during_a_step_is_batched_in_the_next) {
  Rig s;
  std::vector<PendingOutput> outputs;
  s.hold();
  for (uint32_t i = 0; i < 5; ++i) {
    const QueueId queue = s.open(InstanceId{i + 1});
    Sequence sequence(*s.engine, queue);
    outputs.push_back(submit(*s.engine, queue, sequence.append({i})));
  }
  s.release();
  for (PendingOutput& output : outputs) EXPECT_TRUE(output.get().ok());
  EXPECT_EQ(s.probe->steps.back().size(), 5u);
}

/// Two programs got results of a step that took a minute by the clock, so that the loop waits up to
/// a minute for both; the first one has submitted again.
struct Gathering {
  Gathering() {
    rig.probe->during_step = [this] { clock.advance_ns(60'000'000'000); };
    rig.hold();
    PendingOutput one = submit(*rig.engine, a, first.append({1}));
    PendingOutput two = submit(*rig.engine, b, second.append({2}));
    rig.release();
    EXPECT_TRUE(one.get().ok() && two.get().ok());
    next = std::make_unique<PendingOutput>(submit(*rig.engine, a, first.append({3})));
    // A step that began too early is seen by looking for a while.
    for (int look = 0; look < 50; ++look) {
      EXPECT_EQ(rig.probe->step_count(), 2u);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  FakeClock clock;
  Rig rig{
      64,
      32,
      {.gather_fraction = 1.0, .gather_ns_max = 60'000'000'000, .seed = 7, .prefix_cache = false},
      clock};
  QueueId a = rig.open(kA);
  QueueId b = rig.open(kB);
  Sequence first{*rig.engine, a};
  Sequence second{*rig.engine, b};
  std::unique_ptr<PendingOutput> next;
};

TEST(Gather, waits_for_the_next_pass_of_everybody_who_got_a_result) {
  Gathering g;
  PendingOutput other = submit(*g.rig.engine, g.b, g.second.append({4}));
  EXPECT_TRUE(g.next->get().ok() && other.get().ok());
  EXPECT_EQ(g.rig.probe->steps.back().size(), 2u) << "both in one step";
}

TEST(Gather, does_not_wait_for_a_program_that_blocks_on_something_else) {
  Gathering g;
  g.rig.engine->instance_blocked(kB);
  EXPECT_TRUE(g.next->get().ok());
  EXPECT_EQ(g.rig.probe->steps.back().size(), 1u);
}

TEST(Gather, does_not_wait_for_a_closed_instance) {
  Gathering g;
  close(*g.rig.engine, kB);
  EXPECT_TRUE(g.next->get().ok());
}

TEST(Engine, commands_of_a_queue_take_effect_in_order) {
  Rig s;
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  s.hold();
  PendingOutput first = submit(*s.engine, queue, sequence.append({5}));
  Pending<bool> middle;
  ASSERT_TRUE(s.engine->synchronize(queue, middle.callback()).ok());
  PendingOutput second = submit(*s.engine, queue, sequence.append({6}));
  Pending<bool> end;
  ASSERT_TRUE(s.engine->synchronize(queue, end.callback()).ok());
  EXPECT_FALSE(middle.ready());
  s.release();
  EXPECT_TRUE(end.get());
  EXPECT_TRUE(first.ready() && middle.ready() && second.ready());
  EXPECT_TRUE(middle.get());
  EXPECT_EQ(first.get()->tokens, expected_text({5}, 1));
  EXPECT_EQ(second.get()->tokens, expected_text({5, 6}, 1));
}

TEST(Engine, closing_in_mid_step_frees_the_pages_and_cancels_what_waits) {
  Rig s;
  const QueueId queue = s.open(kA);
  const QueueId other = s.open(kB);
  Sequence sequence(*s.engine, queue);
  Sequence neighbour(*s.engine, other);
  ASSERT_TRUE(neighbour.run({1}).ok());
  s.probe->hold_steps();
  const uint64_t entered = s.probe->entered;
  PendingOutput in_flight = submit(*s.engine, queue, sequence.append(numbers(6, 0)));
  s.probe->wait_entered(entered + 1);
  PendingOutput waiting = submit(*s.engine, queue, sequence.append({7}));
  PendingOutput next_door = submit(*s.engine, other, neighbour.append({2}));
  Pending<bool> synced;
  ASSERT_TRUE(s.engine->synchronize(queue, synced.callback()).ok());
  Pending<bool> closed;
  s.engine->close_instance(
      kA, [&, done = closed.callback()] { done(s.engine->kv_pages_used(kA) == 0); });
  EXPECT_FALSE(closed.ready());
  s.probe->release_steps();
  EXPECT_TRUE(closed.get()) << "its pages are free when the callback comes";
  EXPECT_TRUE(in_flight.ready() && waiting.ready() && synced.ready());
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(synced.get());
  EXPECT_EQ(next_door.get()->tokens, expected_text({1, 2}, 1));
  EXPECT_EQ(s.engine->submit(queue, sequence.append({8}), nullptr).error().code,
            ErrorCode::kFailedPrecondition);
}

TEST(Engine, closing_an_unknown_instance_calls_back) {
  Rig s;
  close(*s.engine, InstanceId{77});
  s.engine->instance_blocked(InstanceId{77});
}

TEST(Engine, high_priority_goes_first) {
  Rig s(64, 4);
  const QueueId low = s.open(kA);
  const QueueId high = s.open(kB);
  s.engine->set_priority(low, Priority::kLow);
  s.engine->set_priority(high, Priority::kHigh);
  Sequence patient(*s.engine, low);
  Sequence urgent(*s.engine, high);
  s.hold();
  PendingOutput of_low = submit(*s.engine, low, patient.append(numbers(4, 100)));
  PendingOutput of_high = submit(*s.engine, high, urgent.append(numbers(4, 200)));
  s.release();
  EXPECT_TRUE(of_low.get().ok() && of_high.get().ok());
  EXPECT_EQ(s.probe->first_tokens, (std::vector<uint32_t>{999, 200, 100}));
}

TEST(Engine, a_failed_step_fails_its_passes_and_nothing_else) {
  Rig s(64, 8);
  const QueueId a = s.open(kA);
  Sequence sequence(*s.engine, a);
  {
    const std::lock_guard lock(s.probe->mutex);
    s.probe->fail_next = true;
  }
  EXPECT_EQ(sequence.run(numbers(20, 0)).error().code, ErrorCode::kInternal);
  Sequence another(*s.engine, s.open(kB));
  EXPECT_EQ(another.generate({1, 2}, 3), expected_text({1, 2}, 3));
}

TEST(Engine, what_there_is_no_memory_for_ends_the_one_who_asked_for_it) {
  Rig s(64, 32);
  {
    const std::lock_guard lock(s.probe->mutex);
    s.probe->no_memory_for = {7};
  }
  Sequence one(*s.engine, s.open(kA)), two(*s.engine, s.open(kB)), three(*s.engine, s.open(kC));
  const QueueId q1 = s.engine->create_queue(kA), q2 = s.engine->create_queue(kB),
                q3 = s.engine->create_queue(kC);
  s.hold();
  PendingOutput first = submit(*s.engine, q1, one.append({1, 2}));
  PendingOutput greedy = submit(*s.engine, q2, two.append({7, 7}));
  PendingOutput last = submit(*s.engine, q3, three.append({3, 4}));
  s.release();
  EXPECT_EQ(greedy.get().error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(first.get()->tokens, expected_text({1, 2}, 1));
  EXPECT_EQ(last.get()->tokens, expected_text({3, 4}, 1));
}

TEST(Engine, draws_depend_on_the_seed_the_instance_and_the_pass_alone) {
  const auto draw = [](uint64_t seed, bool crowded) {
    Rig s(64, 32, {.seed = seed});
    const QueueId queue = s.open(kA);
    std::vector<TokenId> tokens;
    for (uint32_t i = 0; i < 20; ++i) {
      if (crowded) {
        ForwardPass noise;
        noise.inputs = {{.token = i}};
        noise.tokens = {{.sampler = {.temperature = 9.0F}}};
        submit(*s.engine, s.open(InstanceId{10 + i}), noise).get().value();
      }
      ForwardPass pass;
      pass.inputs = {{.token = 3}};
      pass.tokens = {{.sampler = {.temperature = 9.0F}}, {.sampler = {.temperature = 9.0F}}};
      const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
      tokens.insert(tokens.end(), output.tokens.begin(), output.tokens.end());
    }
    return tokens;
  };
  const std::vector<TokenId> alone = draw(5, false);
  EXPECT_EQ(alone, draw(5, true));
  EXPECT_NE(alone, draw(6, false));
  std::vector<TokenId> different = alone;
  std::sort(different.begin(), different.end());
  different.erase(std::unique(different.begin(), different.end()), different.end());
  EXPECT_GT(different.size(), 20u) << "passes and slots draw different numbers";
}

TEST(Engine, what_is_pending_at_the_end_is_cancelled) {
  auto s = std::make_unique<Rig>(4);
  const QueueId a = s->open(kA);
  const QueueId b = s->open(kB);
  Sequence first(*s->engine, a);
  ASSERT_TRUE(first.run(numbers(16, 0)).ok());
  Sequence second(*s->engine, b);
  PendingOutput waiting = submit(*s->engine, b, second.append({1}));
  Pending<bool> synced;
  ASSERT_TRUE(s->engine->synchronize(b, synced.callback()).ok());
  s.reset();
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(synced.get());
}

}  // namespace
}  // namespace pie::engine
