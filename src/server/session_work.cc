#include "server/session_work.h"

#include <utility>

#include "base/guarded.h"
#include "server/session.h"

namespace pie::server {
namespace {

/// A job that ends by an exception is refused like one that could not be taken.
void answered(const char* what, const std::function<void()>& job,
              const SessionWork::Refuse& refuse) {
  const Result<void> done = guarded(what, [&job]() -> Result<void> {
    job();
    return {};
  });
  if (!done.ok()) refuse(done.error().message);
}

}  // namespace

void SessionWork::later(WorkQueue& queue, std::function<void()> job, const Refuse& refuse) {
  auto held = hold_request();
  if (!held.ok()) return refuse(std::move(held).error().message);
  auto posted = queue.post_once(session_.user(), [held = *held, job = std::move(job), refuse] {
    answered("request", job, refuse);
  });
  if (!posted.ok()) refuse(std::move(posted).error().message);
}

Result<std::shared_ptr<Holding>> SessionWork::hold(uint64_t bytes) const {
  auto held = std::make_shared<Holding>(
      part_of(session_.services().ledger.of(session_.user()), &UserQuotas::host_memory));
  if (held->take(bytes)) return held;
  return Error{ErrorCode::kResourceExhausted,
               "[request] got " + std::to_string(bytes) +
                   " bytes, expected room for them: " + held->refusal(bytes)};
}

void SessionWork::compile_later(uint64_t bytes, std::function<void()> job, const Refuse& refuse) {
  const auto cpu = part_of(session_.services().ledger.of(session_.user()), &UserQuotas::cpu);
  if (cpu && cpu->would_exceed(1))
    return refuse("[compile] got no processor time for it, expected some: " + cpu->refusal(1));
  auto held = hold(bytes);
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
          answered("compile", job, refuse);
          const std::lock_guard done(mutex_);
          compiling_.erase(id);
        },
        cpu);
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
