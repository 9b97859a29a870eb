#pragma once
// An engine over an executor that remembers tokens, for the tests of the loop.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_harness.h"
#include "engine/local_engine.h"
#include "engine/recall_executor.h"

namespace pie::engine {

inline constexpr InstanceId kA{1};
inline constexpr InstanceId kB{2};
inline constexpr InstanceId kC{3};

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
  ~Rig() { probe->release_steps(); }
  QueueId open(InstanceId instance, uint32_t kv_pages_max = 0) {
    engine->open_instance(instance, {.kv_pages_max = kv_pages_max});
    return engine->create_queue(instance);
  }
  /// Lets a step of a throwaway instance begin and holds it: what is submitted until release()
  /// reaches the next step together.
  void hold() {
    const QueueId queue = open(InstanceId{999});
    probe->hold_steps();
    const uint64_t entered = probe->entered;
    ForwardPass pass;
    pass.inputs = {{.token = 999}};
    held = std::make_unique<PendingOutput>(submit(*engine, queue, pass));
    probe->wait_entered(entered + 1);
  }
  void release() {
    probe->release_steps();
    EXPECT_TRUE(held->get().ok());
  }

  std::shared_ptr<RecallProbe> probe = std::make_shared<RecallProbe>();
  std::unique_ptr<Engine> engine;
  std::unique_ptr<PendingOutput> held;
};

inline std::vector<TokenId> numbers(uint32_t count, uint32_t first) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// What RecallExecutor generates, computed without pages, chunks or batches.
inline std::vector<TokenId> expected_text(const std::vector<TokenId>& tokens, uint32_t count) {
  std::vector<std::pair<uint32_t, TokenId>> attended;
  for (const TokenId token : tokens) attended.emplace_back(attended.size(), token);
  std::vector<TokenId> text;
  while (text.size() < count) {
    text.push_back(RecallExecutor::next_token(attended));
    attended.emplace_back(attended.size(), text.back());
  }
  return text;
}

inline std::string message_of(const Result<ForwardOutput>& result) {
  return result.ok() ? "ok" : result.error().message;
}

}  // namespace pie::engine
