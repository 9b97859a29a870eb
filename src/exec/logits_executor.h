#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "exec/executor.h"
#include "exec/row_answerer.h"

namespace pie::exec {

/// Rows in the order of slices, then of rows within a slice. Valid until the next execute().
struct StepOutput {
  std::span<const float> logits;  ///< f32 [sum of logit_rows, n_vocab]
  std::span<const float> hidden;  ///< f32 [sum of hidden_rows, n_embd], after the final norm
};

/// An executor whose logits come to this process's memory: tokens are drawn from them here, on the
/// threads of the step. A step is complete when submit() returns.
class LogitsExecutor : public Executor {
 public:
  Result<StepTicket> submit(const StepBatch& batch) final;
  Result<StepResults> collect(StepTicket ticket) final;

  /// A step without its requests. Errors as submit() says.
  virtual Result<StepOutput> execute(const StepBatch& batch) = 0;

 protected:
  /// Calls task(thread, i) for each i < count, thread < config().thread_count. Tasks of one thread
  /// follow each other. By default on the caller's thread alone.
  virtual void for_each(uint32_t count,
                        const std::function<void(uint32_t thread, uint32_t index)>& task) {
    for (uint32_t i = 0; i < count; ++i) task(0, i);
  }

 private:
  Result<void> answer(const StepBatch& batch, const StepOutput& output, StepResults& results);

  std::vector<RowAnswerer> answerers_;  // by thread
  std::vector<AskedPart> asked_;        // of the step in hand
  StepTicket last_;
  std::optional<StepResults> results_;  // of the last ticket, until they are collected
};

}  // namespace pie::exec
