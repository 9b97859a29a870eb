#include "server/session_work.h"

#include <utility>

#include "server/compile_job.h"
#include "server/session.h"

namespace pie::server {

void SessionWork::later(WorkQueue& queue, std::function<void()> job, const Refuse& refuse) {
  auto held = hold_request();
  if (!held.ok()) return refuse(std::move(held).error().message);
  auto posted = queue.post_once(session_.user(), [held = *held, job = std::move(job), refuse] {
    run_or_refuse("request", job, refuse);
  });
  if (!posted.ok()) refuse(std::move(posted).error().message);
}

Result<std::shared_ptr<Holding>> SessionWork::hold_request() const {
  return hold_memory(session_.services().ledger.of(session_.user()), request_bytes_);
}

void SessionWork::compile_later(uint64_t bytes, std::function<void()> job, const Refuse& refuse) {
  const UserQuotasRef quotas = session_.services().ledger.of(session_.user());
  auto held = hold_for_compiling(quotas, bytes);
  if (!held.ok()) return refuse(std::move(held).error().message);
  std::string refusal;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    const uint64_t id = next_compiling_++;
    auto posted = session_.services().compile.post_once(
        session_.user(),
        [session = session_.shared_from_this(), this, id, held = *held, job = std::move(job),
         refuse] {
          run_or_refuse("compile", job, refuse);
          const std::lock_guard done(mutex_);
          compiling_.erase(id);
        },
        part_of(quotas, &UserQuotas::cpu));
    if (posted.ok())
      compiling_.emplace(id, std::move(posted).value());
    else
      refusal = std::move(posted).error().message;
  }
  if (!refusal.empty()) refuse(std::move(refusal));
}

CompiledPrograms::Post SessionWork::compiler() {
  return [session = session_.shared_from_this(), this](uint64_t bytes, std::function<void()> job,
                                                       const CompiledPrograms::Refuse& refuse) {
    compile_later(bytes, std::move(job), refuse);
  };
}

void SessionWork::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto& [id, ticket] : compiling_) ticket.cancel();
}

}  // namespace pie::server
