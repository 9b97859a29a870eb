#include "host/ending.h"

#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"

namespace pie::host {
namespace {

End end_of(const wasm::Outcome& outcome, std::string returned) {
  using Kind = wasm::Outcome::Kind;
  switch (outcome.kind) {
    case Kind::kOk: return {EndKind::kCompleted, std::move(returned)};
    case Kind::kErr: return {EndKind::kException, "Runtime error: " + outcome.text};
    case Kind::kTrap: return {EndKind::kException, outcome.text};
    case Kind::kExit:
      if (outcome.exit_code == 0) return {EndKind::kCompleted, std::move(returned)};
      return {EndKind::kException, fmt::format("exit with code {}", outcome.exit_code)};
    case Kind::kLimit: return {EndKind::kOutOfResources, outcome.text};
    case Kind::kKilled: return {EndKind::kServerError, "server shut down"};
    case Kind::kFault: break;
  }
  return {EndKind::kServerError, outcome.text};
}

EndKind kind_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kFailedPrecondition: return EndKind::kException;
    case ErrorCode::kResourceExhausted: return EndKind::kOutOfResources;
    default: return EndKind::kServerError;
  }
}

}  // namespace

std::optional<End> Ending::end_before_start() {
  const std::lock_guard lock(mutex_);
  if (terminated_) resolved_ = true;
  return terminated_;
}

void Ending::attach(std::shared_ptr<wasm::GuestInstance> instance) {
  {
    std::lock_guard lock(mutex_);
    if (resolved_) return;
    instance_ = instance;
    if (!terminated_ && !failed_) return;
  }
  instance->kill();
}

void Ending::decide(End end, std::optional<End>& slot) {
  std::shared_ptr<wasm::GuestInstance> instance;
  {
    std::lock_guard lock(mutex_);
    if (resolved_ || terminated_ || failed_) return;
    slot = std::move(end);
    instance = instance_;
  }
  if (instance) instance->kill();
}

void Ending::terminate(End end) { decide(std::move(end), terminated_); }

void Ending::fail(const Error& error) {
  if (error.code == ErrorCode::kCancelled) return;
  decide({kind_of(error.code), error.message}, failed_);
}

End Ending::resolve(const wasm::Outcome& outcome, std::string returned) {
  End end = verdict(outcome, std::move(returned));
  end.message = shortened(to_utf8(end.message), kEndTextBytesMax);
  return end;
}

End Ending::verdict(const wasm::Outcome& outcome, std::string returned) {
  std::shared_ptr<wasm::GuestInstance> instance;  // let go of after the lock
  std::lock_guard lock(mutex_);
  resolved_ = true;
  instance = std::move(instance_);
  instance_ = nullptr;
  if (failed_) return *failed_;
  if (terminated_ && outcome.kind == wasm::Outcome::Kind::kKilled) return *terminated_;
  return end_of(outcome, std::move(returned));
}

std::shared_ptr<wasm::GuestInstance> Ending::instance() const {
  std::lock_guard lock(mutex_);
  return instance_;
}

}  // namespace pie::host
