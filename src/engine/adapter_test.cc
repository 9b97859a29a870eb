// Adapters in the engine: what pointers stand for, and which pages are whose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_rig.h"

namespace pie::engine {
namespace {

using testing::ElementsAre;

constexpr uint32_t kAdapter = 2;

model::AdapterRef some_adapter() { return model::seal({}); }

/// Prefill and greedy decode under an adapter.
std::vector<TokenId> generate(Engine& engine, QueueId queue, const model::AdapterRef& adapter,
                              const std::vector<TokenId>& prompt, uint32_t count) {
  Sequence sequence(engine, queue);
  std::vector<TokenId> text;
  std::vector<TokenId> next = prompt;
  while (text.size() < count) {
    ForwardPass pass = sequence.append(next);
    pass.adapter = adapter;
    next = submit(engine, queue, std::move(pass)).get().value().tokens;
    text.push_back(next.at(0));
  }
  return text;
}

TEST(AdaptersOfEngine, pages_computed_under_one_are_found_under_it_alone) {
  const std::vector<TokenId> prompt = numbers(18, 100);
  const model::AdapterRef one = some_adapter();
  const model::AdapterRef two = some_adapter();
  const auto text_under = [&](const model::AdapterRef& adapter) {
    Rig alone;
    return generate(*alone.engine, alone.open(kA), adapter, prompt, 6);
  };
  const auto plain = text_under(nullptr);
  const auto of_one = text_under(one);
  const auto of_two = text_under(two);
  EXPECT_NE(of_one, plain);
  EXPECT_NE(of_one, of_two);

  Rig s(64, 32, {.seed = 7});
  uint64_t last = 0;
  const auto saved = [&](const model::AdapterRef& adapter, const std::vector<TokenId>& expected) {
    const InstanceId instance{++last};
    EXPECT_EQ(generate(*s.engine, s.open(instance), adapter, prompt, 6), expected);
    return s.engine->prefix_savings(instance).tokens;
  };
  EXPECT_EQ(saved(nullptr, plain), 0U);
  EXPECT_EQ(saved(one, of_one), 0U);
  EXPECT_EQ(saved(two, of_two), 0U);
  EXPECT_EQ(saved(nullptr, plain), 16U);
  EXPECT_EQ(saved(one, of_one), 16U);
  EXPECT_EQ(saved(two, of_two), 16U);
}

/// A context may go on under another adapter than it began with: what it then writes depends on
/// what is before it.
TEST(AdaptersOfEngine, a_context_that_changes_its_adapter_is_found_as_it_was_computed) {
  const model::AdapterRef adapter = some_adapter();
  const std::vector<TokenId> head = numbers(8, 100);
  const std::vector<TokenId> tail = numbers(9, 300);
  const auto run = [&](Rig& s, InstanceId instance, const model::AdapterRef& first,
                       const model::AdapterRef& second) {
    const QueueId queue = s.open(instance);
    Sequence sequence(*s.engine, queue);
    for (const bool is_head : {true, false}) {
      ForwardPass pass = sequence.append(is_head ? head : tail);
      pass.adapter = is_head ? first : second;
      const auto output = submit(*s.engine, queue, std::move(pass)).get().value();
      if (!is_head) return output.tokens;
    }
    return std::vector<TokenId>();
  };
  const std::vector<model::AdapterRef> choices = {nullptr, adapter};
  Rig together(64, 32, {.seed = 7});
  uint64_t last = 0;
  for (const bool again : {false, true}) {
    for (const auto& first : choices) {
      for (const auto& second : choices) {
        Rig alone;
        const InstanceId instance{++last};
        EXPECT_EQ(run(together, instance, first, second), run(alone, kA, first, second));
        if (again) {
          EXPECT_GT(together.engine->prefix_savings(instance).tokens, 8U);
        }
      }
    }
  }
}

TEST(AdaptersOfEngine, pointers_stand_for_values) {
  Rig s;
  const QueueId queue = s.open(kA);
  EXPECT_THAT(s.engine->allocate(queue, kAdapter, 3).value(), ElementsAre(0, 1, 2));
  ASSERT_TRUE(s.engine->deallocate(queue, kAdapter, std::vector<uint32_t>{1}).ok());
  EXPECT_THAT(s.engine->allocate(queue, kAdapter, 2).value(), ElementsAre(1, 3));
  EXPECT_EQ(s.engine->adapter("get", queue, 2).value(), nullptr);
  const model::AdapterRef first = some_adapter();
  const model::AdapterRef second = some_adapter();
  ASSERT_TRUE(s.engine->put_adapter("put", queue, 2, first).ok());
  EXPECT_EQ(s.engine->adapter("get", queue, 2).value(), first);

  ASSERT_TRUE(s.engine->export_resources(queue, kAdapter, std::vector<uint32_t>{2}, "mine").ok());
  ASSERT_TRUE(s.engine->put_adapter("put", queue, 2, second).ok());
  EXPECT_THAT(s.engine->exported(queue, kAdapter).value(), ElementsAre(ExportedName{"mine", 1}));
  EXPECT_TRUE(s.engine->exported(queue, 0).value().empty());
  const QueueId other = s.open(kB);
  close(*s.engine, kA);
  EXPECT_THAT(s.engine->import_resources(other, kAdapter, "mine").value(), ElementsAre(0));
  EXPECT_EQ(s.engine->adapter("get", other, 0).value(), first);
  ASSERT_TRUE(s.engine->put_adapter("put", other, 0, second).ok());
  EXPECT_THAT(s.engine->import_resources(other, kAdapter, "mine").value(), ElementsAre(1));
  EXPECT_EQ(s.engine->adapter("get", other, 1).value(), first);
  ASSERT_TRUE(s.engine->release_exported(other, kAdapter, "mine").ok());
  EXPECT_EQ(s.engine->import_resources(other, kAdapter, "mine").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(s.engine->adapter("get", other, 1).value(), first);
}

TEST(AdaptersOfEngine, what_is_wrong_with_a_pointer_is_named) {
  Rig s;
  const QueueId queue = s.open(kA);
  ASSERT_TRUE(s.engine->allocate(queue, kAdapter, 2).ok());
  constexpr const char* kUnmapped =
      "[set-adapter] got adapter pointer 5, expected one that this instance has allocated";
  EXPECT_EQ(s.engine->adapter("set-adapter", queue, 5).error().message, kUnmapped);
  EXPECT_EQ(s.engine->put_adapter("set-adapter", queue, 5, nullptr).error().message, kUnmapped);
  EXPECT_EQ(s.engine->deallocate(queue, kAdapter, std::vector<uint32_t>{0, 0}).error().message,
            "[deallocate-resources] got pointer 0 twice, expected each once");
  EXPECT_EQ(
      s.engine->export_resources(queue, kAdapter, std::vector<uint32_t>{7}, "x").error().message,
      "[export-resources] got adapter pointer 7, expected one that this instance has "
      "allocated");
  const auto many = s.engine->allocate(queue, kAdapter, UINT32_MAX);
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(s.engine->allocate(queue, kAdapter, 1).value(), ElementsAre(2));
}

TEST(AdaptersOfEngine, a_pass_keeps_the_one_that_it_was_given) {
  Rig s;
  const QueueId queue = s.open(kA);
  model::AdapterRef adapter = some_adapter();
  const std::weak_ptr<const model::Adapter> watched = adapter;
  s.hold();
  Sequence sequence(*s.engine, queue);
  ForwardPass pass = sequence.append({1, 2, 3});
  pass.adapter = std::move(adapter);
  PendingOutput output = submit(*s.engine, queue, std::move(pass));
  EXPECT_FALSE(watched.expired());
  s.release();
  ASSERT_TRUE(output.get().ok());
  Pending<bool> done;
  ASSERT_TRUE(s.engine->synchronize(queue, done.callback()).ok());
  done.get();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace pie::engine
