#include "server/session_requests.h"

#include <utility>
#include <variant>

#include "server/instance_rows.h"
#include "server/session.h"

namespace pie::server {
namespace {

using protocol::InstanceAttachResult;
using protocol::Response;

constexpr const char* kSubjects = "program_exists, model_status, backend_stats, instance_log";

Response response_of(uint32_t corr_id, const Result<void>& result, const std::string& success) {
  return {corr_id, result.ok(), result.ok() ? success : result.error().message};
}

}  // namespace

std::shared_ptr<SessionRequests> SessionRequests::shared() {
  return {session_.shared_from_this(), this};
}

const SessionServices& SessionRequests::services() const { return session_.services(); }

SessionWork::Refuse SessionRequests::refuser(uint32_t corr_id) {
  return [self = shared(), corr_id](std::string reason) {
    self->session_.complete_later(Response{corr_id, false, std::move(reason)});
  };
}

void SessionRequests::handle(protocol::SessionRequest request) {
  std::visit(
      [this](auto one) {
        if constexpr (requires { launches_.launch(std::move(one)); })
          launches_.launch(std::move(one));
        else
          handle(std::move(one));
      },
      std::move(request));
}

void SessionRequests::handle(protocol::Query request) {
  if (request.subject == "program_exists") return answer_exists(request);
  if (request.subject == "instance_log") return answer_log(request);
  const auto refuse = refuser(request.corr_id);
  work_.later(
      services().requests,
      [self = shared(), request = std::move(request)] {
        self->session_.complete_later(self->answer(request));
      },
      refuse);
}

void SessionRequests::answer_exists(const protocol::Query& request) {
  services().stored_programs.exists(
      session_.user(), request.record,
      [self = shared(), corr_id = request.corr_id](const Result<bool>& found) {
        self->session_.complete_later(Response{corr_id, found.ok(),
                                               !found.ok() ? found.error().message
                                               : *found    ? "true"
                                                           : "false"});
      });
}

void SessionRequests::answer_log(const protocol::Query& request) {
  services().instances.log_tail(
      session_.user(), request.record,
      [self = shared(), corr_id = request.corr_id](Result<std::string> tail) {
        self->session_.complete_later(Response{
            corr_id, tail.ok(), tail.ok() ? std::move(tail).value() : tail.error().message});
      });
}

Response SessionRequests::answer(const protocol::Query& request) {
  const std::string& user = session_.user();
  Response answer{request.corr_id, true, {}};
  if (request.subject == "model_status") {
    answer.result = services().status.json(user);
  } else if (request.subject == "backend_stats") {
    answer.result = services().status.text(user);
  } else {
    answer.successful = false;
    answer.result = "[query] got the subject '" + request.subject.substr(0, 80) +
                    "', expected one of: " + kSubjects;
  }
  return answer;
}

void SessionRequests::handle(protocol::ProgramUploaded request) {
  const auto refuse = refuser(request.corr_id);
  work_.later(
      services().disk,
      [self = shared(), request = std::move(request)] {
        auto wasm = request.wasm->finish();
        if (!wasm.ok()) return self->refuser(request.corr_id)(wasm.error().message);
        self->services().programs.upload(
            {self->session_.user(), request.hash, std::move(wasm).value(), request.manifest},
            self->work_.compiler(),
            [self, corr_id = request.corr_id, hash = request.hash](const Result<void>& done) {
              self->session_.complete_later(response_of(corr_id, done, hash));
            });
      },
      refuse);
}

void SessionRequests::handle(protocol::AttachInstance request) {
  services().instances.attach(
      session_.user(), request.instance_id, events_.shared(),
      [self = shared(), corr_id = request.corr_id](Result<InstanceRef> attached) {
        if (!attached.ok())
          return self->session_.complete_later(
              InstanceAttachResult{corr_id, false, attached.error().message});
        if (!self->events_.hold(*attached)) return;
        self->session_.post([self, corr_id, instance = *attached] {
          self->session_.complete(InstanceAttachResult{corr_id, true, "Instance attached"});
          self->events_.follow(instance);
        });
      });
}

void SessionRequests::handle(protocol::SignalInstance request) {
  const auto done =
      services().instances.signal(session_.user(), request.instance_id, std::move(request.message));
  if (!request.corr_id) return session_.complete(std::nullopt);
  session_.complete(response_of(*request.corr_id, done, "Message sent to instance"));
}

void SessionRequests::handle(protocol::BlobUploaded request) {
  const auto refuse = refuser(request.corr_id);
  work_.later(
      services().disk,
      [self = shared(), request = std::move(request)] {
        const Result<void> done = [&]() -> Result<void> {
          PIE_TRY_ASSIGN(BlobRef blob, request.blob->finish());
          return self->services().instances.send_blob(self->session_.user(), request.instance_id,
                                                      std::move(blob));
        }();
        self->session_.complete_later(response_of(request.corr_id, done, "Blob sent to instance"));
      },
      refuse);
}

void SessionRequests::handle(protocol::TerminateInstance request) {
  services().instances.terminate(
      session_.user(), request.instance_id,
      [self = shared(), corr_id = request.corr_id](Result<void> done) {
        self->session_.complete_later(response_of(corr_id, done, "Instance terminated"));
      });
}

void SessionRequests::handle(protocol::ListInstances request) {
  work_.later(
      services().requests,
      [self = shared(), corr_id = request.corr_id] {
        const std::string& user = self->session_.user();
        std::string frame = encode(
            protocol::LiveInstances{corr_id, instance_rows(self->services().instances.list(user),
                                                           self->services().clock.wall_ns())});
        const auto quotas = self->services().ledger.of(user);
        if (quotas && quotas->host_memory.would_exceed(frame.size()))
          return self->refuser(corr_id)("[list_instances] got no room for the answer: " +
                                        quotas->host_memory.refusal(frame.size()));
        self->session_.post([self, frame = std::move(frame)]() mutable {
          self->session_.protocol().complete_encoded(std::move(frame));
          self->session_.apply();
        });
      },
      refuser(request.corr_id));
}

}  // namespace pie::server
