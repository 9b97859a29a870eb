#include "server/session_launches.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "server/session.h"

namespace pie::server {
namespace {

using protocol::InstanceLaunchResult;
using protocol::Response;

store::ProgramReference reference_of(protocol::ProgramRef program) {
  return {.kind = program.kind == protocol::ProgramRef::Kind::kHash
                      ? store::ProgramReference::Kind::kHash
                      : store::ProgramReference::Kind::kName,
          .text = std::move(program.text)};
}

template <class Request>
host::LaunchMode mode_of(const Request& request) {
  return request.detached ? host::LaunchMode::kDetached : host::LaunchMode::kAttached;
}

}  // namespace

std::shared_ptr<SessionLaunches> SessionLaunches::shared() {
  return {session_.shared_from_this(), this};
}

void SessionLaunches::launch(protocol::LaunchInstance request) {
  launch(request.corr_id, reference_of(std::move(request.program)),
         {.arguments = std::move(request.arguments), .mode = mode_of(request)});
}

void SessionLaunches::launch(protocol::LaunchInstanceFromRegistry request) {
  launch(request.corr_id,
         {.text = std::move(request.inferlet), .first = store::LookFirst::kRegistry},
         {.arguments = std::move(request.arguments), .mode = mode_of(request)});
}

void SessionLaunches::launch(protocol::LaunchServerInstance request) {
  if (request.port == 0 || request.port > std::numeric_limits<uint16_t>::max())
    return session_.complete(Response{request.corr_id, false,
                                      "[launch_server_instance] got the port " +
                                          std::to_string(request.port) + ", expected 1 to 65535"});
  launch(request.corr_id, reference_of(std::move(request.program)),
         {.arguments = std::move(request.arguments),
          .mode = host::LaunchMode::kDetached,
          .http_port = static_cast<uint16_t>(request.port)});
}

void SessionLaunches::launch(uint32_t corr_id, store::ProgramReference program,
                             host::LaunchSpec spec) {
  spec.user = session_.user();
  const auto answer = [self = shared(), corr_id, mode = spec.mode,
                       is_server = spec.http_port != 0](const Result<InstanceRef>& launched) {
    if (!is_server) return self->launched(corr_id, mode, launched);
    self->session_.complete_later(Response{
        corr_id, launched.ok(), launched.ok() ? "server launched" : launched.error().message});
  };
  auto held = work_.hold_request();
  if (!held.ok()) return answer(std::move(held).error());
  session_.services().programs.open(
      session_.user(), std::move(program), work_.compiler(),
      [self = shared(), spec = std::make_shared<host::LaunchSpec>(std::move(spec)), answer,
       held = *held](Result<LaunchableProgram> ready) {
        if (!ready.ok()) return answer(std::move(ready).error());
        spec->program = std::move(ready->program);
        spec->display_name = std::move(ready->display_name);
        self->session_.services().instances.launch(
            std::move(*spec), [answer, held](const Result<InstanceRef>& one) { answer(one); });
      });
}

void SessionLaunches::launched(uint32_t corr_id, host::LaunchMode mode,
                               const Result<InstanceRef>& launched) {
  if (!launched.ok())
    return session_.complete_later(InstanceLaunchResult{corr_id, false, launched.error().message});
  const InstanceRef& instance = *launched;
  if (mode == host::LaunchMode::kAttached) {
    instance->attach(events_.shared());
    if (!events_.hold(instance)) return;
  }
  session_.post([self = shared(), instance, corr_id, mode] {
    self->session_.complete(InstanceLaunchResult{corr_id, true, instance->id()});
    if (mode == host::LaunchMode::kAttached) self->events_.follow(instance);
  });
}

}  // namespace pie::server
