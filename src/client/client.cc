#include "client/client.h"

#include <utility>

#include "client/call.h"
#include "client/core.h"
#include "crypto/base64.h"

namespace pie::client {
namespace {

using protocol::Chunk;
using protocol::ClientMessage;
using protocol::Reply;

constexpr std::string_view kAuthenticationIsOff = "Authenticated (Engine disabled authentication)";

protocol::ReplyHandler plain_answer(Done<void> done,
                                    ErrorCode otherwise = ErrorCode::kInvalidArgument) {
  return [done = std::move(done), otherwise](Result<Reply> reply) {
    if (auto error = failure(reply, otherwise)) return done(std::move(*error));
    done({});
  };
}

protocol::ReplyHandler text_answer(Done<std::string> done) {
  return [done = std::move(done)](Result<Reply> reply) {
    if (auto error = failure(reply)) return done(std::move(*error));
    done(std::move(reply->text));
  };
}

protocol::ProgramRef program_ref(std::string text) {
  using Kind = protocol::ProgramRef::Kind;
  return {crypto::is_blake3_hex(text) ? Kind::kHash : Kind::kName, std::move(text)};
}

void answer_challenge(Core& core, CallId call, const std::string& challenge, const KeyRef& key,
                      Done<void> done) {
  const auto refused = [](std::string text) { return Error{ErrorCode::kPermissionDenied, text}; };
  if (!key) {
    return done(
        refused("the server asks for a key, but none was given: pass a private key whose "
                "public half the server knows"));
  }
  const Result<std::string> bytes = crypto::base64_decode(challenge);
  if (!bytes.ok()) {
    return done(Error{ErrorCode::kCorrupt, "the server's challenge is not base64: " + challenge});
  }
  Result<std::string> signature = key->sign(*bytes);
  if (!signature.ok()) return done(std::move(signature).error());
  core.request(
      call,
      [text = crypto::base64_encode(*signature)](uint32_t corr_id) -> ClientMessage {
        return protocol::Signature{corr_id, text};
      },
      plain_answer(std::move(done), ErrorCode::kPermissionDenied));
}

protocol::ReplyHandler opened_instance(Core* core, Done<Instance> done) {
  return [core, done = std::move(done)](Result<Reply> reply) {
    if (auto error = failure(reply)) return done(std::move(*error));
    done(core->open_instance(reply->text));
  };
}

protocol::ReplyHandler unwanted_launch(Core* core) {
  return [core](const Result<Reply>& reply) {
    if (reply.ok() && reply->successful) core->terminate_unknown(reply->text);
  };
}

}  // namespace

Client::Client(ClientOptions options) : core_(std::make_shared<Core>(std::move(options))) {}
Client::~Client() { close(); }

void Client::close() { core_->close(); }
void Client::drop() { core_->drop(); }

CallId Client::connect(Done<void> done) {
  return start<void>(core_, std::move(done), [](Core& core, CallId call, Done<void> told) {
    core.connect(call, std::move(told));
  });
}

CallId Client::authenticate(std::string username, KeyRef key, Done<void> done) {
  return start<void>(core_, std::move(done),
                     [username = std::move(username), key = std::move(key)](Core& core, CallId call,
                                                                            Done<void> told) {
                       core.request(
                           call,
                           [&](uint32_t corr_id) -> ClientMessage {
                             return protocol::Identification{corr_id, username};
                           },
                           [&core, call, key, told = std::move(told)](Result<Reply> reply) {
                             if (auto error = failure(reply, ErrorCode::kPermissionDenied)) {
                               return told(std::move(*error));
                             }
                             if (reply->text == kAuthenticationIsOff ||
                                 reply->text == "Authenticated" ||
                                 reply->text == "Already authenticated") {
                               return told({});
                             }
                             answer_challenge(core, call, reply->text, key, told);
                           });
                     });
}

CallId Client::internal_authenticate(std::string token, Done<void> done) {
  return start<void>(core_, std::move(done),
                     [token = std::move(token)](Core& core, CallId call, Done<void> told) {
                       core.request(
                           call,
                           [&](uint32_t corr_id) -> ClientMessage {
                             return protocol::InternalAuthenticate{corr_id, token};
                           },
                           plain_answer(std::move(told), ErrorCode::kPermissionDenied));
                     });
}

CallId Client::upload_program(UploadSource source, std::optional<std::string> manifest,
                              Progress progress, Done<std::string> done) {
  return start<std::string>(
      core_, std::move(done),
      [source = std::move(source), manifest = std::move(manifest), progress = std::move(progress)](
          Core& core, CallId call, Done<std::string> told) mutable {
        core.upload(
            call, std::move(source),
            [manifest](uint32_t corr_id, const std::string& hash, Chunk chunk) -> ClientMessage {
              return protocol::UploadProgram{corr_id, hash, std::move(chunk), manifest};
            },
            std::move(progress), std::move(told));
      });
}

CallId Client::program_exists(std::string record, Done<bool> done) {
  return query("program_exists", std::move(record),
               [done = std::move(done)](Result<std::string> answer) {
                 if (!answer.ok()) return done(std::move(answer).error());
                 done(*answer == "true");
               });
}

CallId Client::launch(std::string program, LaunchOptions options, Done<Instance> done) {
  return start<Instance>(core_, std::move(done),
                         [program = program_ref(std::move(program)), options = std::move(options)](
                             Core& core, CallId call, Done<Instance> told) {
                           core.request_instance(
                               call,
                               [&](uint32_t corr_id) -> ClientMessage {
                                 return protocol::LaunchInstance{corr_id, program,
                                                                 options.arguments,
                                                                 options.detached, std::nullopt};
                               },
                               opened_instance(&core, std::move(told)), unwanted_launch(&core));
                         });
}

CallId Client::launch_from_registry(std::string name, LaunchOptions options, Done<Instance> done) {
  return start<Instance>(core_, std::move(done),
                         [name = std::move(name), options = std::move(options)](
                             Core& core, CallId call, Done<Instance> told) {
                           core.request_instance(
                               call,
                               [&](uint32_t corr_id) -> ClientMessage {
                                 return protocol::LaunchInstanceFromRegistry{
                                     corr_id, name, options.arguments, options.detached};
                               },
                               opened_instance(&core, std::move(told)), unwanted_launch(&core));
                         });
}

CallId Client::launch_server(uint16_t port, std::string program, std::vector<std::string> arguments,
                             Done<void> done) {
  return start<void>(core_, std::move(done),
                     [port, program = program_ref(std::move(program)),
                      arguments = std::move(arguments)](Core& core, CallId call, Done<void> told) {
                       core.request(
                           call,
                           [&](uint32_t corr_id) -> ClientMessage {
                             return protocol::LaunchServerInstance{corr_id, port, program,
                                                                   arguments, std::nullopt};
                           },
                           plain_answer(std::move(told)));
                     });
}

CallId Client::attach(std::string instance_id, Done<Instance> done) {
  return start<Instance>(
      core_, std::move(done),
      [id = std::move(instance_id)](Core& core, CallId call, Done<Instance> told) {
        if (auto parked = core.open_parked(id)) return told(std::move(*parked));
        core.request_instance(
            call,
            [&](uint32_t corr_id) -> ClientMessage {
              return protocol::AttachInstance{corr_id, id};
            },
            [&core, id, told = std::move(told)](Result<Reply> reply) {
              if (auto error = failure(reply)) return told(std::move(*error));
              told(core.open_instance(id));
            },
            [&core, id](const Result<Reply>& reply) {
              if (reply.ok() && reply->successful) core.park(id);
            });
      });
}

CallId Client::terminate(std::string instance_id, Done<void> done) {
  return start<void>(core_, std::move(done),
                     [id = std::move(instance_id)](Core& core, CallId call, Done<void> told) {
                       core.request(
                           call,
                           [&](uint32_t corr_id) -> ClientMessage {
                             return protocol::TerminateInstance{corr_id, id};
                           },
                           plain_answer(std::move(told)));
                     });
}

CallId Client::list_instances(Done<std::vector<InstanceInfo>> done) {
  return start<std::vector<InstanceInfo>>(
      core_, std::move(done), [](Core& core, CallId call, Done<std::vector<InstanceInfo>> told) {
        core.request(
            call,
            [](uint32_t corr_id) -> ClientMessage { return protocol::ListInstances{corr_id}; },
            [told = std::move(told)](Result<Reply> reply) {
              if (auto error = failure(reply)) return told(std::move(*error));
              told(std::move(reply->instances));
            });
      });
}

CallId Client::ping(Done<void> done) {
  return start<void>(core_, std::move(done), [](Core& core, CallId call, Done<void> told) {
    core.request(
        call, [](uint32_t corr_id) -> ClientMessage { return protocol::Ping{corr_id}; },
        plain_answer(std::move(told)));
  });
}

CallId Client::query(std::string subject, std::string record, Done<std::string> done) {
  return start<std::string>(core_, std::move(done),
                            [subject = std::move(subject), record = std::move(record)](
                                Core& core, CallId call, Done<std::string> told) {
                              core.request(
                                  call,
                                  [&](uint32_t corr_id) -> ClientMessage {
                                    return protocol::Query{corr_id, subject, record};
                                  },
                                  text_answer(std::move(told)));
                            });
}

void Client::cancel(CallId call) {
  core_->start([core = core_.get(), call](CallId) { core->cancel(call); }, [](const Error&) {});
}

}  // namespace pie::client
