#pragma once
#include <gtest/gtest.h>
#include <algorithm>
#include <cstdint>

#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "exec/ggml_executor.h"
#include "exec/logits_executor.h"
#include "exec/native_executor.h"
#include "model/adapter.h"
#include "model/model.h"
#include "numerics/margin_rule.h"

namespace pie::test {

/// An executor that the whole suite runs on.
struct ExecutorKind {
  const char* name;
  Result<std::unique_ptr<exec::LogitsExecutor>> (*make)(std::shared_ptr<const model::Model> model,
                                                        const exec::ExecutorConfig& config);
  /// Whether it says that it serves the model; what it does not serve must be refused by make().
  bool (*serves)(const model::Model& model);
  /// By how much of the largest logit those of a tiny random model of F32, F16 or BF16 matrices may
  /// differ from the reference's, and of quantised ones.
  float tiny_tolerance, tiny_quantised_tolerance;
  /// How far a logit of the default model may be from the reference's (docs/NUMERICS.md).
  float logit_tolerance;
  /// Of twenty greedy texts of 64 tokens, how many are the reference's to the end at least.
  size_t equal_texts_min;
};

/// All of them. A further executor is a further row.
inline const std::vector<ExecutorKind>& executor_kinds() {
  static const std::vector<ExecutorKind> kinds = {
      // The reference's own kernels: nothing on most machines; F16 keys and values (2^-11 relative,
      // over a few layers) where the order of sums differs.
      {"ggml", exec::make_ggml_executor, [](const model::Model&) { return true; }, 0.01F, 0.01F,
       kLogitTolerance, 10},
      // F32 activations where the reference multiplies in BF16; 8-bit activations with a scale for
      // 32 values in F32, where the reference has one in F16, or one for 256 before K-quants.
      // Random weights amplify what a trained model does not.
      {"native", exec::make_native_executor, exec::native_executor_serves, 0.02F, 0.4F,
       2.0F * kReferenceToExact, 4},
  };
  return kinds;
}

/// The name of a test's instance, for INSTANTIATE_TEST_SUITE_P.
inline std::string kind_name(const ::testing::TestParamInfo<ExecutorKind>& info) {
  return info.param.name;
}
inline void PrintTo(const ExecutorKind& kind, std::ostream* out) { *out << kind.name; }

/// Our side of the comparison: sequences over one executor. Pages of different sequences
/// interleave.
class Subject {
 public:
  Subject(const ExecutorKind& kind, std::shared_ptr<const model::Model> model,
          const exec::ExecutorConfig& config)
      : model_(std::move(model)), executor_(kind.make(model_, config).value()) {}

  struct Sequence {
    std::vector<KvPageId> pages;
    uint32_t length = 0;
    model::AdapterRef adapter = nullptr;  ///< what is appended is computed under it; null: none
  };

  const model::Model& model() const { return *model_; }
  exec::LogitsExecutor& executor() { return *executor_; }

  /// Appends tokens to a sequence in chunks of the step budget.
  /// Returns logits of the last `row_count` tokens (of the last chunk): f32 [row_count, n_vocab].
  std::vector<float> append(Sequence& sequence, std::span<const int32_t> tokens,
                            uint32_t row_count) {
    std::vector<float> logits;
    for (size_t at = 0; at < tokens.size(); at += executor_->config().step_tokens_max) {
      const auto part = tokens.subspan(
          at, std::min<size_t>(tokens.size() - at, executor_->config().step_tokens_max));
      const bool is_last = at + part.size() == tokens.size();
      logits = step({{&sequence, part}}, is_last ? row_count : 0);
    }
    return logits;
  }

  struct Part {
    Sequence* sequence;
    std::span<const int32_t> tokens;
  };

  /// One step for several sequences; logits of the last `row_count` tokens of each.
  std::vector<float> step(const std::vector<Part>& parts, uint32_t row_count) {
    std::vector<std::vector<exec::StepToken>> tokens(parts.size());
    exec::StepBatch batch;
    for (size_t i = 0; i < parts.size(); ++i) {
      Sequence& sequence = *parts[i].sequence;
      const auto count = static_cast<uint32_t>(parts[i].tokens.size());
      for (uint32_t j = 0; j < count; ++j) {
        tokens[i].push_back(
            {.id = static_cast<TokenId>(parts[i].tokens[j]), .position = sequence.length + j});
      }
      while (sequence.pages.size() * executor_->config().page_size < sequence.length + count) {
        sequence.pages.emplace_back(next_page_++);
      }
      exec::StepSlice slice{tokens[i], sequence.pages, sequence.length, {}, {}, {}};
      for (uint32_t row = count - row_count; row < count; ++row) slice.logit_rows.push_back(row);
      slice.adapter = sequence.adapter.get();
      batch.slices.push_back(std::move(slice));
      sequence.length += count;
    }
    const exec::StepOutput output = executor_->execute(batch).value();
    return {output.logits.begin(), output.logits.end()};
  }

 private:
  std::shared_ptr<const model::Model> model_;
  std::unique_ptr<exec::LogitsExecutor> executor_;
  uint32_t next_page_ = 0;
};

}  // namespace pie::test
