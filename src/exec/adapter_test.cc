// Adapters, on every executor: what they add, to whose rows.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "exec/executor_harness.h"
#include "exec/ggml_executor.h"
#include "exec/native_executor.h"
#include "model/architecture.h"

namespace pie::exec {
namespace {

struct Kind {
  const char* name;
  Result<std::unique_ptr<LogitsExecutor>> (*make)(std::shared_ptr<const model::Model>,
                                                  const ExecutorConfig&);
};

class AdapterTest : public testing::TestWithParam<Kind> {
 protected:
  static std::unique_ptr<LogitsExecutor> make(const std::shared_ptr<const model::Model>& model) {
    return GetParam().make(model, {.page_count = 64, .thread_count = 2}).value();
  }
};

INSTANTIATE_TEST_SUITE_P(All, AdapterTest,
                         testing::Values(Kind{"ggml", make_ggml_executor},
                                         Kind{"native", make_native_executor}),
                         [](const auto& kind) { return std::string(kind.param.name); });

std::vector<float> run_under(LogitsExecutor& executor, const model::Adapter* adapter,
                             const std::vector<StepToken>& tokens,
                             const std::vector<KvPageId>& table, uint32_t context = 0) {
  StepBatch batch;
  batch.slices.push_back({tokens, table, context, {}, all_rows(tokens.size()), {}});
  batch.slices.back().adapter = adapter;
  const StepOutput output = executor.execute(batch).value();
  return {output.logits.begin(), output.logits.end()};
}

/// The tiny model of F32, with factor * B A added to its matrices.
std::shared_ptr<const model::Model> merged(const test::TinyShape& shape,
                                           const model::Adapter& adapter,
                                           const model::Architecture& architecture) {
  constexpr const char* kNames[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                    "ffn_gate", "ffn_up", "ffn_down"};
  test::TinyGguf file(shape);
  for (uint32_t layer = 0; layer < architecture.layer_count; ++layer) {
    for (size_t r = 0; r < model::kAdaptedRoles.size(); ++r) {
      const model::LowRank* matrix = adapter.find(model::kAdaptedRoles[r], layer);
      if (matrix == nullptr) continue;
      const auto size = model::adapted_size(architecture, model::kAdaptedRoles[r]);
      const std::string name = "blk." + std::to_string(layer) + "." + kNames[r] + ".weight";
      auto* weights = static_cast<float*>(ggml_get_tensor(file.tensors(), name.c_str())->data);
      for (size_t o = 0; o < size.outputs; ++o) {
        for (size_t i = 0; i < size.inputs; ++i) {
          double sum = 0;
          for (size_t j = 0; j < matrix->rank; ++j)
            sum += double{adapter.b_of(*matrix)[j * size.outputs + o]} *
                   adapter.a_of(*matrix)[j * size.inputs + i];
          weights[o * size.inputs + i] += static_cast<float>(matrix->factor * sum);
        }
      }
    }
  }
  test::TempFile temp("merged.gguf");
  file.write(temp.path());
  return model::Model::load(temp.path()).value();
}

TEST_P(AdapterTest, an_adapter_computes_what_the_merged_weights_do) {
  for (const char* family : {"llama", "qwen2", "gemma3"}) {
    for (const bool skips_some : {false, true}) {
      SCOPED_TRACE(family);
      const test::TinyShape shape{.family = family, .heads = 4, .kv_heads = 2};
      const auto model = tiny_model(shape);
      const auto adapter = test::random_adapter(
          model->architecture(), {.rank = 5, .strength = 0.3F, .skips_some = skips_some});
      const auto tokens = tokens_at(some_ids(30, 3, 250), 0);
      const auto got = run_under(*make(model), adapter.get(), tokens, pages({4, 9}));
      const auto with = merged(shape, *adapter, model->architecture());
      const auto expected = run_under(*make(with), nullptr, tokens, pages({4, 9}));
      float largest = 0;
      for (const float value : expected) largest = std::max(largest, std::fabs(value));
      expect_near(got, expected, 0.02F * largest);
      EXPECT_NE(got, run_under(*make(model), nullptr, tokens, pages({4, 9})));
    }
  }
}

/// A context under one adapter, a step with several and none.
TEST_P(AdapterTest, each_slice_of_a_step_has_its_own) {
  const auto model = tiny_model({.heads = 4, .kv_heads = 2});
  const std::vector<model::AdapterRef> adapters = {
      nullptr, test::random_adapter(model->architecture(), {.seed = 1, .strength = 0.3F}),
      test::random_adapter(model->architecture(), {.rank = 2, .seed = 2, .strength = 0.3F})};
  const auto executor = make(model);
  const auto prompt = tokens_at(some_ids(20, 4, 250), 0);
  const auto next = tokens_at({7, 8}, 20);
  std::vector<std::vector<KvPageId>> tables;
  std::vector<std::vector<float>> alone;
  for (uint32_t i = 0; i < 6; ++i) {
    tables.push_back(pages({i * 2, i * 2 + 1}));
    const model::Adapter* adapter = adapters[i % 3].get();
    run_under(*executor, adapter, prompt, tables.back());
    alone.push_back(run_under(*executor, adapter, next, tables.back(), 20));
  }
  StepBatch batch;
  for (uint32_t i = 0; i < 6; ++i) {
    batch.slices.push_back({next, tables[i], 20, {}, {1}, {}});
    batch.slices.back().adapter = adapters[i % 3].get();
  }
  const StepOutput output = executor->execute(batch).value();
  const size_t vocab = model->info().vocab_size;
  for (uint32_t i = 0; i < 6; ++i) {
    SCOPED_TRACE(i);
    expect_near(output.logits.subspan(i * vocab, vocab), std::span(alone[i]).subspan(vocab, vocab),
                0.02F);
    EXPECT_NE(alone[i], alone[(i + 1) % 3]);
  }
}

/// Whatever an adapter's numbers come to, other slices and later steps are as without it.
TEST_P(AdapterTest, numbers_that_overflow_stay_in_their_slice) {
  const auto model = tiny_model({.heads = 4, .kv_heads = 2});
  const auto adapter = test::random_adapter(
      model->architecture(), {.strength = 1e19F, .alpha = std::numeric_limits<float>::max()});
  const auto executor = make(model);
  const auto tokens = tokens_at(some_ids(20, 4, 250), 0);
  const auto expected = run_under(*executor, nullptr, tokens, pages({1, 2}));
  StepBatch batch;
  batch.slices.push_back({tokens, {}, 0, {}, all_rows(20), {}});
  const auto table = pages({5, 6});
  batch.slices.back().pages = table;
  batch.slices.back().adapter = adapter.get();
  batch.slices.back().token_requests.push_back({.row = 19, .sampler = {.temperature = 1}});
  const auto other = pages({1, 2});
  batch.slices.push_back({tokens, other, 0, {}, all_rows(20), {}});
  const StepTicket ticket = executor->submit(batch).value();
  const StepResults results = executor->collect(ticket).value();
  EXPECT_LT(results[0].tokens.at(0), model->info().vocab_size);
  const StepOutput output = executor->execute(batch).value();
  expect_near(output.logits.last(expected.size()), expected, 0.02F);
  expect_near(run_under(*executor, nullptr, tokens, pages({5, 7})), expected, 0.02F);
}

}  // namespace
}  // namespace pie::exec
