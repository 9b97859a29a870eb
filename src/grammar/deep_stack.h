#pragma once
#include <cstdint>
#include <functional>

#include "base/result.h"

namespace pie::grammar {

/// Runs `work` on a thread of its own with 512 MiB of address space for its stack, and waits for
/// it; adds the processor time that it took to `cpu_ns`, if given. For what recurses as deep as a
/// text of 1 MiB makes it. kUnavailable: there is no thread. `work` must not throw.
Result<void> run_on_deep_stack(const std::function<void()>& work, uint64_t* cpu_ns);

}  // namespace pie::grammar
