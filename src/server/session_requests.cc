#include <limits>
#include <utility>

#include "base/guarded.h"
#include "server/instance_rows.h"
#include "server/session.h"

namespace pie::server {
namespace {

using protocol::InstanceAttachResult;
using protocol::InstanceLaunchResult;
using protocol::Response;

constexpr const char* kSubjects = "program_exists, model_status, backend_stats, instance_log";

Response response_of(uint32_t corr_id, const Result<void>& result, std::string success) {
  return {corr_id, result.ok(), result.ok() ? std::move(success) : result.error().message};
}

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

/// A job that ends by an exception is refused like one that could not be taken.
void answered(const char* what, const std::function<void()>& job,
              const std::function<void(std::string)>& refuse) {
  const Result<void> done = guarded(what, [&job]() -> Result<void> {
    job();
    return {};
  });
  if (!done.ok()) refuse(done.error().message);
}

}  // namespace

void Session::later(WorkQueue& queue, std::function<void()> job,
                    const std::function<void(std::string)>& refuse) {
  auto held = hold_bytes(request_bytes_);
  if (!held.ok()) return refuse(std::move(held).error().message);
  auto posted = queue.post_once(session_.user(), [held = *held, job = std::move(job), refuse] {
    answered("request", job, refuse);
  });
  if (!posted.ok()) refuse(std::move(posted).error().message);
}

Result<std::shared_ptr<Holding>> Session::hold_bytes(uint64_t bytes) const {
  auto held = std::make_shared<Holding>(
      part_of(services_.ledger.of(session_.user()), &UserQuotas::host_memory));
  if (held->take(bytes)) return held;
  return Error{ErrorCode::kResourceExhausted,
               "[request] got " + std::to_string(bytes) +
                   " bytes, expected room for them: " + held->refusal(bytes)};
}

void Session::compile_later(uint64_t bytes, std::function<void()> job,
                            const std::function<void(std::string)>& refuse) {
  const auto cpu = part_of(services_.ledger.of(session_.user()), &UserQuotas::cpu);
  if (cpu && cpu->would_exceed(1))
    return refuse("[compile] got no processor time for it, expected some: " + cpu->refusal(1));
  auto held = hold_bytes(bytes);
  if (!held.ok()) return refuse(std::move(held).error().message);
  std::string refusal;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    const uint64_t id = next_compiling_++;
    auto posted = services_.compile.post_once(
        session_.user(),
        [self = shared_from_this(), id, held = *held, job = std::move(job), refuse] {
          answered("compile", job, refuse);
          const std::lock_guard done(self->mutex_);
          self->compiling_.erase(id);
        },
        cpu);
    if (posted.ok()) compiling_.emplace(id, std::move(posted).value());
    if (!posted.ok()) refusal = std::move(posted).error().message;
  }
  if (!refusal.empty()) refuse(std::move(refusal));
}

void Session::handle(protocol::Query request) {
  if (request.subject == "program_exists") return answer_exists(request);
  if (request.subject == "instance_log") return answer_log(request);
  const auto refuse = refuser(request.corr_id);
  later(
      services_.requests,
      [self = shared_from_this(), request = std::move(request)] {
        self->complete_later(self->answer(request));
      },
      refuse);
}

void Session::answer_exists(const protocol::Query& request) {
  services_.stored_programs.exists(
      session_.user(), request.record,
      [self = shared_from_this(), corr_id = request.corr_id](const Result<bool>& found) {
        self->complete_later(Response{corr_id, found.ok(),
                                      !found.ok() ? found.error().message
                                      : *found    ? "true"
                                                  : "false"});
      });
}

void Session::answer_log(const protocol::Query& request) {
  services_.instances.log_tail(
      session_.user(), request.record,
      [self = shared_from_this(), corr_id = request.corr_id](Result<std::string> tail) {
        self->complete_later(Response{corr_id, tail.ok(),
                                      tail.ok() ? std::move(tail).value() : tail.error().message});
      });
}

Response Session::answer(const protocol::Query& request) {
  const std::string& user = session_.user();
  Response answer{request.corr_id, true, {}};
  if (request.subject == "model_status") {
    answer.result = services_.status.json(user);
  } else if (request.subject == "backend_stats") {
    answer.result = services_.status.text(user);
  } else {
    answer.successful = false;
    answer.result = "[query] got the subject '" + request.subject.substr(0, 80) +
                    "', expected one of: " + kSubjects;
  }
  return answer;
}

CompiledPrograms::Post Session::compiler() {
  return [self = shared_from_this()](uint64_t bytes, std::function<void()> job,
                                     const CompiledPrograms::Refuse& refuse) {
    self->compile_later(bytes, std::move(job), refuse);
  };
}

void Session::handle(protocol::ProgramUploaded request) {
  const auto refuse = refuser(request.corr_id);
  later(
      services_.disk,
      [self = shared_from_this(), request = std::move(request)] {
        auto wasm = [&]() -> Result<CompiledPrograms::Wasm> {
          PIE_TRY_ASSIGN(const BlobRef whole, request.wasm->finish());
          PIE_TRY_ASSIGN(std::string bytes, read_all(*whole));
          return std::make_shared<const std::string>(std::move(bytes));
        }();
        if (!wasm.ok()) return self->refuser(request.corr_id)(wasm.error().message);
        self->services_.programs.upload(
            {self->session_.user(), request.hash, std::move(wasm).value(), request.manifest},
            self->compiler(),
            [self, corr_id = request.corr_id, hash = request.hash](const Result<void>& done) {
              self->complete_later(response_of(corr_id, done, hash));
            });
      },
      refuse);
}

void Session::handle(protocol::LaunchInstance request) {
  launch({request.corr_id,
          reference_of(std::move(request.program)),
          {.arguments = std::move(request.arguments), .mode = mode_of(request)}});
}

void Session::handle(protocol::LaunchInstanceFromRegistry request) {
  launch({request.corr_id,
          {.text = std::move(request.inferlet), .first = store::LookFirst::kRegistry},
          {.arguments = std::move(request.arguments), .mode = mode_of(request)}});
}

void Session::handle(protocol::LaunchServerInstance request) {
  if (request.port == 0 || request.port > std::numeric_limits<uint16_t>::max())
    return complete(Response{request.corr_id, false,
                             "[launch_server_instance] got the port " +
                                 std::to_string(request.port) + ", expected 1 to 65535"});
  launch({request.corr_id,
          reference_of(std::move(request.program)),
          {.arguments = std::move(request.arguments),
           .mode = host::LaunchMode::kDetached,
           .http_port = static_cast<uint16_t>(request.port)}});
}

void Session::launch(LaunchRequest request) {
  request.spec.user = session_.user();
  const auto answer =
      [self = shared_from_this(), corr_id = request.corr_id, mode = request.spec.mode,
       is_server = request.spec.http_port != 0](const Result<InstanceRef>& launched) {
        if (!is_server) return self->launched(corr_id, mode, launched);
        self->complete_later(Response{
            corr_id, launched.ok(), launched.ok() ? "server launched" : launched.error().message});
      };
  auto held = hold_bytes(request_bytes_);
  if (!held.ok()) return answer(std::move(held).error());
  services_.programs.open(session_.user(), std::move(request.program), compiler(),
                          [self = shared_from_this(), spec = std::move(request.spec), answer,
                           held = *held](Result<LaunchableProgram> program) mutable {
                            if (!program.ok()) return answer(std::move(program).error());
                            spec.program = std::move(program->program);
                            spec.display_name = std::move(program->display_name);
                            self->services_.instances.launch(
                                std::move(spec),
                                [answer, held](const Result<InstanceRef>& one) { answer(one); });
                          });
}

void Session::launched(uint32_t corr_id, host::LaunchMode mode,
                       const Result<InstanceRef>& launched) {
  if (!launched.ok())
    return complete_later(InstanceLaunchResult{corr_id, false, launched.error().message});
  const InstanceRef instance = *launched;
  if (mode == host::LaunchMode::kAttached) {
    instance->attach(shared_from_this());
    if (!hold(instance)) return;
  }
  connection_->post([self = shared_from_this(), instance, corr_id, mode] {
    self->complete(InstanceLaunchResult{corr_id, true, instance->id()});
    if (mode == host::LaunchMode::kAttached) self->follow(instance);
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
  const auto refuse = refuser(request.corr_id);
  later(
      services_.disk,
      [self = shared_from_this(), request = std::move(request)] {
        const Result<void> done = [&]() -> Result<void> {
          PIE_TRY_ASSIGN(BlobRef blob, request.blob->finish());
          return self->services_.instances.send_blob(self->session_.user(), request.instance_id,
                                                     std::move(blob));
        }();
        self->complete_later(response_of(request.corr_id, done, "Blob sent to instance"));
      },
      refuse);
}

void Session::handle(protocol::TerminateInstance request) {
  services_.instances.terminate(
      session_.user(), request.instance_id,
      [self = shared_from_this(), corr_id = request.corr_id](Result<void> done) {
        self->complete_later(response_of(corr_id, done, "Instance terminated"));
      });
}

void Session::handle(protocol::ListInstances request) {
  later(
      services_.requests,
      [self = shared_from_this(), corr_id = request.corr_id] {
        const std::string& user = self->session_.user();
        std::string frame = encode(protocol::LiveInstances{
            corr_id,
            instance_rows(self->services_.instances.list(user), self->services_.clock.wall_ns())});
        const auto quotas = self->services_.ledger.of(user);
        if (quotas && quotas->host_memory.would_exceed(frame.size()))
          return self->refuser(corr_id)("[list_instances] got no room for the answer: " +
                                        quotas->host_memory.refusal(frame.size()));
        self->connection_->post([self, frame = std::move(frame)]() mutable {
          self->session_.complete_encoded(std::move(frame));
          self->apply();
        });
      },
      refuser(request.corr_id));
}

}  // namespace pie::server
