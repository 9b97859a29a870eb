// The engine over an executor that remembers tokens: order, batching, memory, closing, errors.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "engine/engine_harness.h"
#include "engine/local_engine.h"
#include "engine/recall_executor.h"

namespace pie::engine {
namespace {

constexpr InstanceId kA{1};
constexpr InstanceId kB{2};
constexpr InstanceId kC{3};

struct Rig {
  explicit Rig(uint32_t page_count = 64, uint32_t step_tokens_max = 32,
               const EngineConfig& config = {.gather_fraction = 0.25,
                                             .seed = 7,
                                             .prefix_cache = false},
               const Clock& clock = system_clock()) {
    auto executor = std::make_unique<RecallExecutor>(
        exec::ExecutorConfig{
            .page_count = page_count, .page_size = 4, .step_tokens_max = step_tokens_max},
        probe);
    engine = LocalEngine::open(nullptr, RecallExecutor::kVocab, RecallExecutor::kEmbedding,
                               std::move(executor), config, clock)
                 .value();
  }
  ~Rig() { probe->set_hold(false); }
  QueueId open(InstanceId instance, uint32_t kv_pages_max = 0) {
    engine->open_instance(instance, {.kv_pages_max = kv_pages_max});
    return engine->create_queue(instance);
  }
  /// Lets a step of a throwaway instance begin and holds it: what is submitted until release()
  /// reaches the next step together.
  void hold() {
    const QueueId queue = open(InstanceId{999});
    probe->set_hold(true);
    const uint64_t entered = probe->entered;
    ForwardPass pass;
    pass.inputs = {{.token = 999}};
    held = std::make_unique<PendingOutput>(submit(*engine, queue, pass));
    probe->wait_entered(entered + 1);
  }
  void release() {
    probe->set_hold(false);
    EXPECT_TRUE(held->get().ok());
  }

  std::shared_ptr<RecallProbe> probe = std::make_shared<RecallProbe>();
  std::unique_ptr<Engine> engine;
  std::unique_ptr<PendingOutput> held;
};

std::vector<TokenId> numbers(uint32_t count, uint32_t first) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// What RecallExecutor generates, computed without pages, chunks or batches.
std::vector<TokenId> expected_text(std::vector<TokenId> tokens, uint32_t count) {
  std::vector<std::pair<uint32_t, TokenId>> attended;
  for (const TokenId token : tokens) attended.emplace_back(attended.size(), token);
  std::vector<TokenId> text;
  while (text.size() < count) {
    text.push_back(RecallExecutor::next_token(attended));
    attended.emplace_back(attended.size(), text.back());
  }
  return text;
}

std::string message_of(const Result<ForwardOutput>& result) {
  return result.ok() ? "ok" : result.error().message;
}

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
  Rig rig{64, 32, {.gather_fraction = 1.0, .seed = 7, .prefix_cache = false}, clock};
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

TEST(Engine, outputs_may_lie_in_any_chunk_and_come_in_slot_order) {
  Rig s(64, 8);
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append(numbers(30, 10));
  pass.tokens = {{.index = 29}, {.index = 3}, {.index = 15}, {.index = 3}};
  pass.distributions = {{.index = 20, .temperature = 0, .top_k = 2}, {.index = 7, .top_k = 3}};
  const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
  const auto after = [](uint32_t index) { return expected_text(numbers(index + 1, 10), 1)[0]; };
  EXPECT_EQ(output.tokens, (std::vector{after(29), after(3), after(15), after(3)}));
  ASSERT_EQ(output.distributions.size(), 2u);
  EXPECT_EQ(output.distributions[0].ids.size(), 2u);
  EXPECT_EQ(output.distributions[0].ids[0], after(20));
  EXPECT_EQ(output.distributions[1].ids.size(), 3u);
  EXPECT_EQ(output.distributions[1].ids[0], after(7));
}

TEST(Engine, masks_are_cut_along_with_their_chunks) {
  Rig s(64, 4);
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append(numbers(11, 10));
  // Row i attends slot 0 and its own slot.
  pass.mask.emplace();
  for (uint32_t i = 0; i < 11; ++i) {
    pass.mask->push_back(i == 0 ? std::vector<uint32_t>{1} : std::vector<uint32_t>{1, i - 1, 1});
  }
  pass.tokens = {{.index = 9}, {.index = 2}};
  const ForwardOutput output = submit(*s.engine, queue, pass).get().value();
  EXPECT_EQ(output.tokens, (std::vector{RecallExecutor::next_token({{0, 10}, {9, 19}}),
                                        RecallExecutor::next_token({{0, 10}, {2, 12}})}));
}

TEST(Engine, passes_without_pages_see_themselves_only_at_any_length) {
  Rig s(64, 8);
  const QueueId queue = s.open(kA);
  for (const uint32_t count : {1, 8, 9, 60}) {
    ForwardPass pass;
    for (const TokenId token : numbers(count, 40)) pass.inputs.push_back({.token = token});
    pass.tokens = {{.index = count - 1}};
    EXPECT_EQ(submit(*s.engine, queue, pass).get()->tokens, expected_text(numbers(count, 40), 1));
  }
  close(*s.engine, kA);
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
}

TEST(Engine, embedding_slots_carry_rows_from_pass_to_pass) {
  Rig s;
  const QueueId queue = s.open(kA);
  const std::vector<uint32_t> slots = s.engine->allocate(queue, 1, 2).value();
  EXPECT_EQ(slots, (std::vector<uint32_t>{0, 1}));
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append({1, 2, 3});
  pass.embeddings = {{.index = 1, .slot = 1}, {.index = 2, .slot = 0}};
  PendingOutput written = submit(*s.engine, queue, pass);
  ForwardPass read;
  read.inputs = {{.embedding_slot = 0}, {.embedding_slot = 1}};
  read.tokens = {{.index = 1}};
  PendingOutput output = submit(*s.engine, queue, read);  // at once: the queue keeps the order
  const TokenId after_two = expected_text({1, 2}, 1)[0];
  const TokenId after_three = expected_text({1, 2, 3}, 1)[0];
  EXPECT_EQ(output.get()->tokens, expected_text({after_three, after_two}, 1));
}

TEST(Engine, pointers_are_smallest_first_and_used_again) {
  Rig s;
  const QueueId queue = s.open(kA);
  EXPECT_EQ(*s.engine->allocate(queue, 0, 3), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(*s.engine->allocate(queue, 1, 1), (std::vector<uint32_t>{0}));
  EXPECT_EQ(*s.engine->allocate(queue, 0, 0), std::vector<uint32_t>{});
  EXPECT_TRUE(s.engine->deallocate(queue, 0, std::vector<uint32_t>{1}).ok());
  EXPECT_EQ(*s.engine->allocate(queue, 0, 2), (std::vector<uint32_t>{1, 3}));
}

TEST(Engine, a_number_used_again_is_a_new_page_and_waiting_passes_keep_the_old_one) {
  Rig s;
  const QueueId queue = s.open(kA);
  Sequence sequence(*s.engine, queue);
  ASSERT_TRUE(sequence.run({1, 2}).ok());
  s.hold();
  PendingOutput old = submit(*s.engine, queue, sequence.append({3}));
  ASSERT_TRUE(s.engine->deallocate(queue, 0, std::vector<uint32_t>{0}).ok());
  ASSERT_EQ(*s.engine->allocate(queue, 0, 1), std::vector<uint32_t>{0});
  ForwardPass fresh;
  fresh.inputs = {{.token = 9}};
  fresh.pages = {VirtualPage{0}};
  fresh.last_page_len = 2;  // slot 0 was never written: it reads as empty
  fresh.tokens = {{.index = 0}};
  PendingOutput new_page = submit(*s.engine, queue, fresh);
  s.release();
  EXPECT_EQ(old.get()->tokens, expected_text({1, 2, 3}, 1));
  EXPECT_EQ(new_page.get()->tokens, expected_text({0, 9}, 1));
}

TEST(Engine, pages_are_bound_by_passes_and_counted_by_instance) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 20).ok());
  EXPECT_EQ(s.engine->kv_pages_used(kA), 0u);
  Sequence sequence(*s.engine, queue);
  ASSERT_TRUE(sequence.run(numbers(9, 0)).ok());
  EXPECT_EQ(s.engine->kv_pages_used(kA), 3u);
  EXPECT_EQ(s.engine->stats().kv_pages_used, 3u);
  EXPECT_EQ(s.engine->kv_pages_used(kB), 0u);
  EXPECT_EQ(s.engine->stats().instance_count, 1u);
}

TEST(Engine, closing_in_mid_step_frees_the_pages_and_cancels_what_waits) {
  Rig s;
  const QueueId queue = s.open(kA);
  const QueueId other = s.open(kB);
  Sequence sequence(*s.engine, queue);
  Sequence neighbour(*s.engine, other);
  ASSERT_TRUE(neighbour.run({1}).ok());
  s.probe->set_hold(true);
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
  s.probe->set_hold(false);
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

TEST(Engine, passes_wait_for_pages_and_go_on_when_some_come_free) {
  Rig s(4);
  const QueueId a = s.open(kA);
  const QueueId b = s.open(kB);
  Sequence first(*s.engine, a);
  Sequence second(*s.engine, b);
  ASSERT_TRUE(first.run(numbers(12, 0)).ok());
  PendingOutput waiting = submit(*s.engine, b, second.append(numbers(8, 0)));
  // The first one goes on meanwhile, within its pages.
  EXPECT_TRUE(first.run({1}).ok());
  EXPECT_FALSE(waiting.ready());
  close(*s.engine, kA);
  EXPECT_EQ(waiting.get()->tokens, expected_text(numbers(8, 0), 1));
}

TEST(Engine, when_nothing_can_free_pages_the_youngest_that_holds_some_is_refused) {
  Rig s(4);
  const QueueId a = s.open(kA);
  const QueueId b = s.open(kB);
  const QueueId c = s.open(kC);
  Sequence oldest(*s.engine, a);
  Sequence younger(*s.engine, b);
  Sequence empty(*s.engine, c);
  ASSERT_TRUE(oldest.run(numbers(8, 0)).ok());
  ASSERT_TRUE(younger.run(numbers(8, 0)).ok());
  PendingOutput of_oldest = submit(*s.engine, a, oldest.append({1}));
  PendingOutput of_younger = submit(*s.engine, b, younger.append({1}));
  PendingOutput of_empty = submit(*s.engine, c, empty.append({1}));
  const Result<ForwardOutput> refused = of_younger.get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(refused.error().message.starts_with(
      "[execute] got a KV pool of 4 pages with 4 used and every instance"))
      << refused.error().message;
  EXPECT_FALSE(of_oldest.ready());
  close(*s.engine, kB);
  EXPECT_TRUE(of_oldest.get().ok());
  EXPECT_TRUE(of_empty.get().ok());
}

TEST(Engine, limits_of_an_instance_name_used_and_allowed) {
  Rig s;
  const QueueId queue = s.open(kA, 5);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 4).ok());
  const auto refused = s.engine->allocate(queue, 0, 2);
  EXPECT_EQ(refused.error(),
            (Error{ErrorCode::kResourceExhausted,
                   "[allocate-resources] got 2 KV pages on top of 4 used, expected at most 5 "
                   "allowed for this instance"}));
  EXPECT_TRUE(s.engine->allocate(queue, 0, 1).ok()) << "a refused call changes nothing";
  EXPECT_EQ(s.engine->allocate(queue, 1, UINT32_MAX).error().code, ErrorCode::kResourceExhausted);
}

TEST(Engine, a_refused_export_or_import_counts_nothing) {
  Ledger ledger({.kv_pages_max = 10}, {}, 0);
  const UserQuotasRef quotas = ledger.of("ann");
  Rig s;
  s.engine->open_instance(kA, {.shared = quotas, .user = "ann"});
  const QueueId queue = s.engine->create_queue(kA);
  const std::vector<uint32_t> pages = s.engine->allocate(queue, 0, 2).value();
  ASSERT_TRUE(s.engine->export_resources(queue, 0, pages, "name").ok());
  EXPECT_EQ(quotas->kv_pages.used(), 4u);
  s.hold();
  ForwardPass pass;
  pass.inputs = {{.token = 1}};
  while (s.engine->submit(queue, pass, nullptr).ok()) {
  }
  EXPECT_FALSE(s.engine->export_resources(queue, 0, pages, "other").ok());
  EXPECT_FALSE(s.engine->import_resources(queue, 0, "name").ok());
  EXPECT_EQ(quotas->kv_pages.used(), 4u);
  s.release();
  close(*s.engine, kA);
  EXPECT_EQ(quotas->kv_pages.used(), 2u);  // the exported ones
}

TEST(Engine, a_program_that_never_waits_meets_a_limit) {
  Rig s;
  const QueueId queue = s.open(kA);
  s.hold();
  ForwardPass pass;
  pass.inputs = {{.token = 1}};
  Result<void> result;
  uint32_t accepted = 0;
  for (; accepted < 10000 && result.ok(); accepted += result.ok() ? 1 : 0) {
    result = s.engine->submit(queue, pass, nullptr);
  }
  EXPECT_EQ(accepted, 4096u);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  s.release();
  Pending<bool> synced;  // the limit is on what waits: the queue drains
  while (!s.engine->synchronize(queue, synced.callback()).ok()) std::this_thread::yield();
  EXPECT_TRUE(synced.get());
  EXPECT_TRUE(s.engine->submit(queue, pass, nullptr).ok());
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

TEST(Engine, ten_thousand_holders_of_pages_end_at_once) {
  Rig s(10'000, 512);
  for (uint32_t i = 1; i <= 10'000; ++i) {
    Sequence sequence(*s.engine, s.open(InstanceId{i}));
    ASSERT_TRUE(sequence.run({i % 100}).ok());
  }
  EXPECT_EQ(s.engine->stats().kv_pages_used, 10'000u);
  const auto began = std::chrono::steady_clock::now();
  for (uint32_t i = 1; i < 10'000; ++i) s.engine->close_instance(InstanceId{i}, [] {});
  close(*s.engine, InstanceId{10'000});
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
  EXPECT_EQ(s.engine->stats().kv_pages_used, 0u);
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

TEST(Engine, a_programs_mistakes_name_the_call_the_value_and_the_bound) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 3).ok());
  ASSERT_TRUE(s.engine->allocate(queue, 1, 1).ok());
  const ForwardPass good = [] {
    ForwardPass pass;
    pass.inputs = {{.token = 1}, {.token = 2}};
    pass.pages = {VirtualPage{0}};
    pass.last_page_len = 2;
    return pass;
  }();
  const auto refused = [&](auto change) {
    ForwardPass pass = good;
    change(pass);
    const Result<ForwardOutput> result = submit(*s.engine, queue, pass).get();
    EXPECT_TRUE(result.ok() || result.error().code == ErrorCode::kInvalidArgument);
    return message_of(result);
  };
  EXPECT_EQ(refused([](ForwardPass&) {}), "ok");
  EXPECT_EQ(refused([](ForwardPass& p) { p.inputs[1].token = 1000; }),
            "[execute] got token id 1000, expected < 1000");
  EXPECT_EQ(refused([](ForwardPass& p) { p.inputs.clear(); }),
            "[execute] got no inputs, expected at least one token");
  EXPECT_EQ(refused([](ForwardPass& p) { p.pages = {VirtualPage{3}}; }),
            "[execute] got KV page pointer 3, expected one that this instance has allocated");
  EXPECT_EQ(refused([](ForwardPass& p) { p.last_page_len = 0; }),
            "[execute] got last-kv-page-len 0, expected 1 to 4");
  EXPECT_EQ(refused([](ForwardPass& p) { p.last_page_len = 5; }),
            "[execute] got last-kv-page-len 5, expected 1 to 4");
  EXPECT_EQ(refused([](ForwardPass& p) { p.last_page_len = 1; }),
            "[execute] got 1 KV pages that hold 1 tokens, expected room for this pass's 2 tokens");
  EXPECT_EQ(refused([](ForwardPass& p) { p.pages = {VirtualPage{0}, VirtualPage{0}}; }),
            "[execute] got KV page pointer 0 twice, expected once: this pass writes to that page");
  EXPECT_EQ(
      refused([](ForwardPass& p) { p.pages = {VirtualPage{1}, VirtualPage{1}, VirtualPage{0}}; }),
      "ok")
      << "a page that is only read may occur as often as it likes";
}

TEST(Engine, mistakes_in_masks_outputs_and_resources_are_refused) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, 0, 3).ok());
  const auto refused = [&](auto change) {
    ForwardPass pass;
    pass.inputs = {{.token = 1}, {.token = 2}};
    change(pass);
    return message_of(submit(*s.engine, queue, pass).get());
  };
  EXPECT_EQ(refused([](ForwardPass& p) { p.mask.emplace(1, std::vector<uint32_t>{1}); }),
            "[execute] got 1 attention mask rows, expected 2 (one per input)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.tokens = {{.index = 2}}; }),
            "[execute] got output index 2, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.distributions = {{.index = UINT32_MAX}}; }),
            "[execute] got output index 4294967295, expected < 2 (inputs of this pass)");
  EXPECT_EQ(refused([](ForwardPass& p) { p.embeddings = {{.index = 0, .slot = 4}}; }),
            "[execute] got embedding pointer 4, expected one that this instance has allocated");
  EXPECT_EQ(refused([](ForwardPass& p) { p.inputs[0].embedding_slot = 0; }),
            "[execute] got embedding pointer 0, expected one that this instance has allocated");
  const auto dealloc = [&](std::vector<uint32_t> pointers) {
    const Result<void> result = s.engine->deallocate(queue, 0, pointers);
    return result.ok() ? "ok" : result.error().message;
  };
  EXPECT_EQ(dealloc({0, 7}),
            "[deallocate-resources] got KV page pointer 7, expected one that this instance has "
            "allocated");
  EXPECT_EQ(dealloc({1, 1}), "[deallocate-resources] got pointer 1 twice, expected each once");
  EXPECT_EQ(dealloc({0, 1, 2}), "ok") << "the refused calls changed nothing";
  EXPECT_EQ(s.engine->allocate(queue, 2, 1).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(s.engine->allocate(queue, 9, 1).error().message,
            "[allocate-resources] got resource type 9, expected 0 (KV page), 1 (embedding slot) or "
            "2 (adapter)");
}

}  // namespace
}  // namespace pie::engine
