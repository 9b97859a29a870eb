#include <limits>
#include <utility>

#include "server/session.h"
#include "server/spools.h"

namespace pie::server {
namespace {

using protocol::InstanceAttachResult;
using protocol::InstanceLaunchResult;
using protocol::Response;

constexpr const char* kSubjects = "program_exists, model_status, backend_stats, instance_log";

Response response_of(uint32_t corr_id, const Result<void>& result, std::string success) {
  return {corr_id, result.ok(), result.ok() ? std::move(success) : result.error().message};
}

}  // namespace

void Session::handle(protocol::Query request) {
  services_.quick.post([self = shared_from_this(), request = std::move(request)] {
    const std::string& user = self->session_.user();
    Response answer{request.corr_id, true, {}};
    if (request.subject == "program_exists") {
      const auto found = self->services_.programs.exists(user, request.record);
      answer.successful = found.ok();
      answer.result = !found.ok() ? found.error().message : *found ? "true" : "false";
    } else if (request.subject == "model_status") {
      answer.result = self->services_.status.json(user);
    } else if (request.subject == "backend_stats") {
      answer.result = self->services_.status.text(user);
    } else if (request.subject == "instance_log") {
      auto tail = self->services_.instances.log_tail(user, request.record);
      answer.successful = tail.ok();
      answer.result = tail.ok() ? std::move(tail).value() : tail.error().message;
    } else {
      answer.successful = false;
      answer.result = "[query] got the subject '" + request.subject.substr(0, 80) +
                      "', expected one of: " + kSubjects;
    }
    self->complete_later(std::move(answer));
  });
}

void Session::handle(protocol::ProgramUploaded request) {
  services_.slow.post([self = shared_from_this(), request = std::move(request)] {
    Result<void> done = [&]() -> Result<void> {
      PIE_TRY_ASSIGN(const std::string wasm, read_all(*request.wasm));
      return self->services_.programs.upload(self->session_.user(), request.hash, wasm,
                                             request.manifest);
    }();
    self->complete_later(response_of(request.corr_id, done, request.hash));
  });
}

void Session::handle(protocol::LaunchInstance request) {
  launch({request.corr_id, std::move(request.program), ProgramLibrary::From::kAnywhere,
          std::move(request.arguments), request.detached});
}

void Session::handle(protocol::LaunchInstanceFromRegistry request) {
  launch({request.corr_id,
          {protocol::ProgramRef::Kind::kName, std::move(request.inferlet)},
          ProgramLibrary::From::kRegistryFirst,
          std::move(request.arguments),
          request.detached});
}

void Session::handle(protocol::LaunchServerInstance request) {
  if (request.port == 0 || request.port > std::numeric_limits<uint16_t>::max())
    return complete(Response{request.corr_id, false,
                             "[launch_server_instance] got the port " +
                                 std::to_string(request.port) + ", expected 1 to 65535"});
  launch({request.corr_id, std::move(request.program), ProgramLibrary::From::kAnywhere,
          std::move(request.arguments), true, static_cast<uint16_t>(request.port)});
}

void Session::launch(LaunchRequest request) {
  services_.quick.post([self = shared_from_this(), request = std::move(request)]() mutable {
    const std::string& user = self->session_.user();
    auto ready = self->services_.programs.open_compiled(user, request.program, request.from);
    if (ready) return self->launch_program(request, std::move(*ready));
    self->services_.slow.post([self, request = std::move(request)] {
      self->launch_program(request, self->services_.programs.open(self->session_.user(),
                                                                  request.program, request.from));
    });
  });
}

void Session::launch_server(const LaunchRequest& request, Result<LaunchableProgram> program) {
  const Result<void> done = [&]() -> Result<void> {
    PIE_TRY_ASSIGN(LaunchableProgram ready, std::move(program));
    PIE_TRY(services_.instances.launch({session_.user(), std::move(ready), request.arguments,
                                        instance::LaunchMode::kDetached, request.http_port}));
    return {};
  }();
  complete_later(response_of(request.corr_id, done, "server launched"));
}

void Session::launch_program(const LaunchRequest& request, Result<LaunchableProgram> program) {
  if (request.http_port != 0) return launch_server(request, std::move(program));
  if (!program.ok())
    return complete_later(InstanceLaunchResult{request.corr_id, false, program.error().message});
  const auto mode =
      request.detached ? instance::LaunchMode::kDetached : instance::LaunchMode::kAttached;
  auto launched = services_.instances.launch(
      {session_.user(), std::move(program).value(), request.arguments, mode});
  if (!launched.ok())
    return complete_later(InstanceLaunchResult{request.corr_id, false, launched.error().message});
  const InstanceRef instance = *launched;
  if (!request.detached) {
    instance->attach(shared_from_this());
    if (!hold(instance)) return;
  }
  connection_->post([self = shared_from_this(), instance, corr_id = request.corr_id,
                     detached = request.detached] {
    self->complete(InstanceLaunchResult{corr_id, true, instance->id()});
    if (!detached) self->follow(instance);
  });
}

void Session::handle(protocol::AttachInstance request) {
  services_.instances.attach(
      session_.user(), request.instance_id, shared_from_this(),
      [self = shared_from_this(), corr_id = request.corr_id](Result<InstanceRef> attached) {
        if (!attached.ok())
          return self->complete_later(
              InstanceAttachResult{corr_id, false, attached.error().message});
        if (!self->hold(*attached)) return;
        self->connection_->post([self, corr_id, instance = *attached] {
          self->complete(InstanceAttachResult{corr_id, true, "Instance attached"});
          self->follow(instance);
        });
      });
}

void Session::handle(protocol::SignalInstance request) {
  const auto done =
      services_.instances.signal(session_.user(), request.instance_id, std::move(request.message));
  if (!request.corr_id) return complete(std::nullopt);
  complete(response_of(*request.corr_id, done, "Message sent to instance"));
}

void Session::handle(protocol::BlobUploaded request) {
  const auto done =
      services_.instances.send_blob(session_.user(), request.instance_id, std::move(request.blob));
  complete(response_of(request.corr_id, done, "Blob sent to instance"));
}

void Session::handle(protocol::TerminateInstance request) {
  services_.instances.terminate(
      session_.user(), request.instance_id,
      [self = shared_from_this(), corr_id = request.corr_id](Result<void> done) {
        self->complete_later(response_of(corr_id, done, "Instance terminated"));
      });
}

void Session::handle(protocol::ListInstances request) {
  complete(protocol::LiveInstances{request.corr_id, services_.instances.list(session_.user())});
}

}  // namespace pie::server
