#pragma once
#include <cstdint>

#include "base/result.h"
#include "exec/executor.h"

namespace pie::exec {

/// kResourceExhausted when a KV pool of so many bytes is more than this process may have; says what
/// bounds it.
Result<void> check_pool_fits(const ExecutorConfig& config, uint64_t bytes);
/// The error when the machine did not give them.
Error pool_refused(const ExecutorConfig& config, uint64_t bytes);

/// The error when there is no memory for a model whose weights are so many bytes.
Error load_refused(uint64_t weight_bytes);

}  // namespace pie::exec
