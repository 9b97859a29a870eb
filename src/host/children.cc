#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "host/answer.h"
#include "host/define.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "ports/children.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {

/// The cases of `program`, both a string.
struct ProgramByName {
  std::string text;
};
struct ProgramByHash {
  std::string text;
};
using GuestProgram = std::variant<ProgramByName, ProgramByHash>;
constexpr auto wit_type(const GuestProgram*) { return wasm::variant_of("name", "hash"); }

}  // namespace pie::host

namespace pie::wasm {

template <>
struct WitType<host::ProgramByName> {
  static std::string text() { return WitType<std::string>::text(); }
  static host::ProgramByName read(ValueReader from) { return {WitType<std::string>::read(from)}; }
};
template <>
struct WitType<host::ProgramByHash> {
  static std::string text() { return WitType<std::string>::text(); }
  static host::ProgramByHash read(ValueReader from) { return {WitType<std::string>::read(from)}; }
};

}  // namespace pie::wasm

namespace pie::host {
namespace {

using wasm::Err;
using wasm::Ok;
using wasm::WitResult;

constexpr const char* kChildren = "pie:instance/children";
constexpr size_t kProgramBytesMax = 1024;
/// What a launch and a child take here, beside what `instance` keeps of it.
constexpr uint64_t kChildBytes = 1024;

/// In the order of EndKind, which counts from 1.
enum class EndCase { kCompleted, kAborted, kFailed, kServerError, kOutOfResources };
constexpr auto wit_type(const EndCase*) {
  return wasm::enum_of("completed", "aborted", "failed", "server-error", "out-of-resources");
}

struct GuestChildEnd {
  EndCase kind = EndCase::kCompleted;
  std::string text;
};
constexpr auto wit_type(const GuestChildEnd*) {
  return wasm::record(wasm::field("kind", &GuestChildEnd::kind),
                      wasm::field("text", &GuestChildEnd::text));
}

/// In the order of EventKind, which counts from 1.
using GuestEvent =
    std::variant<std::string, std::string, std::string, wasm::ByteString, GuestChildEnd>;
constexpr auto wit_type(const GuestEvent*) {
  return wasm::variant_of("stdout", "stderr", "message", "blob", "ended");
}

GuestEvent guest_event(const ChildEvent& event) {
  const std::string& payload = *event.payload;
  switch (event.kind) {
    case EventKind::kStdout: return GuestEvent(std::in_place_index<0>, payload);
    case EventKind::kStderr: return GuestEvent(std::in_place_index<1>, payload);
    case EventKind::kMessage: return GuestEvent(std::in_place_index<2>, payload);
    case EventKind::kBlob: return wasm::ByteString{payload};
    case EventKind::kEnd: break;
  }
  return GuestChildEnd{static_cast<EndCase>(static_cast<int>(event.end) - 1), payload};
}

/// `child`: ends with its handle.
struct ChildObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:instance/children/child";
  ChildObject(std::unique_ptr<Child> child_, wasm::ReadinessRef event_, Charge charge_)
      : child(std::move(child_)), event(std::move(event_)), charge(std::move(charge_)) {}
  const std::unique_ptr<Child> child;
  const wasm::ReadinessRef event;  ///< fires when the child says something
  const Charge charge;
  bool has_ended = false;  ///< its end was taken
};

/// `launching`.
struct LaunchingObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:instance/children/launching";
  explicit LaunchingObject(Charge charge_) : charge(std::move(charge_)) {}
  const std::shared_ptr<Answer<std::unique_ptr<Child>>> answer =
      std::make_shared<Answer<std::unique_ptr<Child>>>();
  const wasm::ReadinessRef event = std::make_shared<wasm::Readiness>();  ///< the child's
  Charge charge;                                                         ///< then the child's
  bool taken = false;
};

Result<ChildRequest> request_of(const InstanceState& state, GuestProgram program,
                                std::vector<std::string> arguments) {
  ChildRequest request;
  if (auto* hashed = std::get_if<ProgramByHash>(&program)) {
    request.by = ChildRequest::By::kHash;
    request.program = std::move(hashed->text);
  } else {
    request.program = std::move(std::get<ProgramByName>(program).text);
  }
  if (request.program.size() > kProgramBytesMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[launch] got a program's name of {} bytes, expected at most {}",
                             request.program.size(), kProgramBytesMax)};
  uint64_t bytes = 0;
  for (const std::string& one : arguments) bytes += kListItemBytes + one.size();
  if (bytes > state.limits.message_bytes_max)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[launch] got arguments of {} bytes, {} for each counted, expected at "
                             "most {}",
                             bytes, kListItemBytes, state.limits.message_bytes_max)};
  request.arguments = std::move(arguments);
  return request;
}

Result<std::shared_ptr<LaunchingObject>> launch_child(InstanceState& state, GuestProgram program,
                                                      std::vector<std::string> arguments) {
  const auto children = state.ports->children();
  if (!children)
    return Error{ErrorCode::kUnsupported, "[launch] got an instance that may not launch others"};
  PIE_TRY_ASSIGN(ChildRequest request, request_of(state, std::move(program), std::move(arguments)));
  Charge charge(state.memory);
  PIE_TRY(charge.try_add(kChildBytes));
  const auto launching = std::make_shared<LaunchingObject>(std::move(charge));
  request.changed = [event = launching->event] { event->fire(); };
  children->launch(std::move(request),
                   [answer = launching->answer](Result<std::unique_ptr<Child>> child) {
                     answer->set(std::move(child));
                   });
  return launching;
}

WitResult<std::shared_ptr<LaunchingObject>, std::string> launch(
    InstanceState& state, GuestProgram program, std::vector<std::string> arguments) {
  return launch_child(state, std::move(program), std::move(arguments));
}

using Launched = WitResult<std::shared_ptr<ChildObject>, std::string>;

std::optional<Launched> launching_get(LaunchingObject& self) {
  if (self.taken || !self.answer->ready()) return std::nullopt;
  self.taken = true;
  auto child = self.answer->take_result();
  if (!child.ok()) return Launched(Err(std::move(child).error().message));
  return Launched(Ok(
      std::make_shared<ChildObject>(std::move(child).value(), self.event, std::move(self.charge))));
}

/// What comes between a look and the reset of the event is found by the second look.
std::optional<GuestEvent> receive(ChildObject& self) {
  if (self.has_ended) return std::nullopt;
  auto event = self.child->take();
  if (!event) {
    self.event->reset();
    event = self.child->take();
    if (!event) return std::nullopt;
    self.event->fire();
  }
  self.has_ended = event->kind == EventKind::kEnd;
  return guest_event(*event);
}

WitResult<void, std::string> send(InstanceState& state, ChildObject& self, std::string message) {
  if (message.size() > state.limits.message_bytes_max)
    return Err(fmt::format("[send] got {} bytes, expected at most {}", message.size(),
                           state.limits.message_bytes_max));
  return self.child->post_message(std::move(message));
}

WitResult<void, std::string> send_blob(ChildObject& self, BlobObject& blob) {
  return self.child->post_blob(blob.blob);
}

}  // namespace

void define_children(wasm::HostFunctions& functions) {
  functions.resource(ChildObject::kResource);
  functions.add(kChildren, "[method]child.id", [](ChildObject& self) { return self.child->id(); });
  functions.add(kChildren, "[method]child.pollable", [](ChildObject& self) { return self.event; });
  functions.add(kChildren, "[method]child.receive", receive);
  functions.add(kChildren, "[method]child.send", send);
  functions.add(kChildren, "[method]child.send-blob", send_blob);
  functions.add(kChildren, "[method]child.cancel", [](ChildObject& self) { self.child->cancel(); });

  functions.resource(LaunchingObject::kResource);
  functions.add(kChildren, "[method]launching.pollable",
                [](LaunchingObject& self) -> wasm::ReadinessRef { return self.answer; });
  functions.add(kChildren, "[method]launching.get", launching_get);
  functions.add(kChildren, "launch", launch);
}

}  // namespace pie::host
