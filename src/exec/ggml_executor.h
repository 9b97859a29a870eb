#pragma once
#include <memory>

#include "exec/logits_executor.h"
#include "model/model.h"

namespace pie::exec {

/// The executor over ggml graphs of our own: any tensor type that ggml multiplies; the reference.
/// Fails with kResourceExhausted when the pool does not fit into memory, kUnsupported when the
/// model's family or a tensor type is not served (named in the message).
Result<std::unique_ptr<LogitsExecutor>> make_ggml_executor(
    std::shared_ptr<const model::Model> model, const ExecutorConfig& config);

}  // namespace pie::exec
