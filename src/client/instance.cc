#include "client/instance.h"

#include <utility>

#include "client/call.h"
#include "client/core.h"

namespace pie::client {

using protocol::Chunk;
using protocol::ClientMessage;
using protocol::Reply;

Instance::Instance(std::string id, std::shared_ptr<Inbox> inbox, std::shared_ptr<Core> core)
    : id_(std::move(id)), inbox_(std::move(inbox)), core_(std::move(core)) {}

CallId Instance::send(std::string message, Done<void> done) const {
  return start<void>(core_, std::move(done),
                     [id = id_, inbox = inbox_, message = std::move(message)](
                         Core& core, CallId call, Done<void> told) {
                       if (auto end = inbox->end()) return told(std::move(*end));
                       core.request(
                           call,
                           [&](uint32_t corr_id) -> ClientMessage {
                             return protocol::SignalInstance{corr_id, id, message};
                           },
                           [inbox, told = std::move(told)](Result<Reply> reply) {
                             auto error = failure(reply);
                             if (!error) return told({});
                             if (auto end = inbox->end()) return told(std::move(*end));
                             const bool has_ended =
                                 error->code == ErrorCode::kNotFound || inbox->has_final();
                             if (has_ended) return told({});
                             told(std::move(*error));
                           });
                     });
}

CallId Instance::upload_blob(UploadSource source, Progress progress, Done<std::string> done) const {
  return start<std::string>(
      core_, std::move(done),
      [id = id_, source = std::move(source), progress = std::move(progress)](
          Core& core, CallId call, Done<std::string> told) mutable {
        core.upload(
            call, std::move(source),
            [id](uint32_t corr_id, const std::string& hash, Chunk chunk) -> ClientMessage {
              return protocol::UploadBlob{corr_id, id, hash, std::move(chunk)};
            },
            std::move(progress), std::move(told));
      });
}

CallId Instance::terminate(Done<void> done) const {
  return start<void>(core_, std::move(done), [id = id_](Core& core, CallId call, Done<void> told) {
    core.request(
        call,
        [&](uint32_t corr_id) -> ClientMessage { return protocol::TerminateInstance{corr_id, id}; },
        [told = std::move(told)](Result<Reply> reply) {
          auto error = failure(reply);
          if (!error || error->code == ErrorCode::kNotFound) return told({});
          told(std::move(*error));
        });
  });
}

}  // namespace pie::client
