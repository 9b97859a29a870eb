#pragma once
#include <memory>

#include "exec/logits_executor.h"
#include "model/model.h"

namespace pie::exec {

/// Whether the kernels have all formats of the model's matrices, and this machine what they need to
/// be fast (AVX2, FMA and F16C).
bool native_executor_serves(const model::Model& model);

/// The executor over our own kernels: the fast one on CPUs. Logits of a row depend on its sequence
/// alone, bit for bit: not on the batch, on shared pages, on how a prompt was cut into steps or on
/// the number of threads. Weights are copied (repacked) at the start.
///
/// kUnsupported (named in the message) for a tensor format that the kernels lack and for pages of
/// other than 16 tokens; kResourceExhausted when the pool does not fit into memory.
Result<std::unique_ptr<LogitsExecutor>> make_native_executor(
    std::shared_ptr<const model::Model> model, const ExecutorConfig& config);

}  // namespace pie::exec
