#pragma once
// What the tests of executors share.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "exec/logits_executor.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "support/random_adapter.h"
#include "support/test_model.h"
#include "support/tiny_gguf.h"

namespace pie::exec {

inline std::shared_ptr<const model::Model> default_model() {
  static const auto model = model::Model::load(test::model_path()).value();
  return model;
}

inline std::shared_ptr<const model::Model> tiny_model(const test::TinyShape& shape = {}) {
  test::TempFile file("tiny.gguf");
  test::TinyGguf(shape).write(file.path());
  return model::Model::load(file.path()).value();
}

inline std::vector<StepToken> tokens_at(std::vector<TokenId> ids, uint32_t first_position) {
  std::vector<StepToken> tokens;
  for (const TokenId id : ids) tokens.push_back({.id = id, .position = first_position++});
  return tokens;
}

inline std::vector<TokenId> some_ids(uint32_t count, uint32_t seed, uint32_t vocab) {
  std::vector<TokenId> ids;
  for (uint32_t i = 0; i < count; ++i)
    ids.push_back((seed * 7919 + i * 104729 + i * i * 31) % vocab);
  return ids;
}

inline std::vector<KvPageId> pages(std::initializer_list<uint32_t> ids) {
  std::vector<KvPageId> list;
  for (const uint32_t id : ids) list.emplace_back(id);
  return list;
}

inline std::vector<uint32_t> all_rows(size_t count) {
  std::vector<uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
}

/// Executes one slice; its logits.
inline std::vector<float> run(LogitsExecutor& executor, const std::vector<StepToken>& tokens,
                              const std::vector<KvPageId>& table, uint32_t context_len,
                              std::vector<uint32_t> logit_rows,
                              const std::vector<MaskRuns>& mask = {}) {
  StepBatch batch;
  batch.slices.push_back({tokens, table, context_len, mask, std::move(logit_rows), {}});
  const StepOutput output = executor.execute(batch).value();
  return {output.logits.begin(), output.logits.end()};
}

inline void expect_near(std::span<const float> got, std::span<const float> expected,
                        float tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  float worst = 0.0F;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(std::isfinite(got[i])) << i;
    worst = std::max(worst, std::abs(got[i] - expected[i]));
  }
  EXPECT_LE(worst, tolerance);
}

inline const std::vector<TokenId>& prose() {
  static const std::vector<TokenId> ids = default_model()->tokenizer().tokenize(
      "The river had been rising since Tuesday, and by the time the mayor finally called the "
      "engineers, water stood two feet deep in the market square.");
  return ids;
}

}  // namespace pie::exec
