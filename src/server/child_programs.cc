#include "server/child_programs.h"

#include <memory>
#include <utility>

#include "server/compile_job.h"

namespace pie::server {

void ChildPrograms::open(Asker asker, store::ProgramReference reference, Done done) {
  const std::string user = asker.user;
  library_.open(
      user, std::move(reference),
      [this, asker = std::move(asker)](uint64_t bytes, std::function<void()> job,
                                       const CompiledPrograms::Refuse& refuse) {
        compile_later(asker, bytes, std::move(job), refuse);
      },
      std::move(done));
}

void ChildPrograms::compile_later(const Asker& asker, uint64_t bytes, std::function<void()> job,
                                  const CompiledPrograms::Refuse& refuse) {
  auto held = hold_for_compiling(asker.quotas, bytes);
  if (!held.ok()) return refuse(std::move(held).error().message);
  auto posted = compile_.post_once(
      asker.user,
      [alive = asker.alive, held = *held, job = std::move(job), refuse] {
        if (!alive.expired()) run_or_refuse("compile", job, refuse);
      },
      part_of(asker.quotas, &UserQuotas::cpu));
  if (!posted.ok()) refuse(std::move(posted).error().message);
}

}  // namespace pie::server
