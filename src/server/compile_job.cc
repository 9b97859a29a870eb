#include "server/compile_job.h"

#include "base/guarded.h"

namespace pie::server {

void run_or_refuse(const char* what, const std::function<void()>& job,
                   const std::function<void(std::string reason)>& refuse) {
  const Result<void> done = guarded(what, [&job]() -> Result<void> {
    job();
    return {};
  });
  if (!done.ok()) refuse(done.error().message);
}

Result<std::shared_ptr<Holding>> hold_memory(const UserQuotasRef& quotas, uint64_t bytes) {
  auto held = std::make_shared<Holding>(part_of(quotas, &UserQuotas::host_memory));
  if (held->take(bytes)) return held;
  return Error{ErrorCode::kResourceExhausted,
               "[request] got " + std::to_string(bytes) +
                   " bytes, expected room for them: " + held->refusal(bytes)};
}

Result<std::shared_ptr<Holding>> hold_for_compiling(const UserQuotasRef& quotas, uint64_t bytes) {
  if (quotas && quotas->cpu.would_exceed(1))
    return Error{
        ErrorCode::kResourceExhausted,
        "[compile] got no processor time for it, expected some: " + quotas->cpu.refusal(1)};
  return hold_memory(quotas, bytes);
}

}  // namespace pie::server
