#include "pie/children.h"

#include "pie/lift.h"

namespace inferlet {
namespace {

Result<void> lifted(const abi::TextResult& result) {
  if (result.is_error != 0) return fail(lift::text(result.text));
  return {};
}

const char* word(ChildEnd::Kind kind) {
  switch (kind) {
    case ChildEnd::Kind::kCompleted: return "completed";
    case ChildEnd::Kind::kAborted: return "aborted";
    case ChildEnd::Kind::kFailed: return "failed";
    case ChildEnd::Kind::kServerError: return "server error";
    case ChildEnd::Kind::kOutOfResources: return "out of resources";
  }
  return "failed";
}

enum class By : int32_t { kName, kHash };

Task<Result<Child>> launch_by(By by, std::string program, std::vector<std::string> arguments) {
  std::vector<abi::Text> lent;
  lent.reserve(arguments.size());
  for (const std::string& one : arguments) lent.push_back(lift::lend(one));
  abi::LaunchStarted started;
  abi::launch(static_cast<int32_t>(by), program.data(), lift::size(program), lent.data(),
              static_cast<uint32_t>(lent.size()), &started);
  if (started.is_error != 0) co_return fail(lift::text(started.of.error));
  const OwnedHandle<abi::launching_drop> launching(started.of.launching);
  co_await until_ready(Pollable(abi::launching_pollable(launching.get())));
  abi::Option<abi::Launched> out;
  abi::launching_get(launching.get(), &out);
  if (out.has == 0) co_return fail("[launch] got nothing of " + program);
  if (out.value.is_error != 0) co_return fail(lift::text(out.value.of.error));
  co_return Child(out.value.of.child);
}

}  // namespace

std::string Child::id() const {
  abi::Text out;
  abi::child_id(handle_.get(), &out);
  return lift::text(out);
}

std::optional<ChildEvent> Child::try_receive() {
  if (end_) return std::nullopt;
  abi::Option<abi::ChildEvent> out;
  abi::child_receive(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  if (out.value.which != abi::ChildEvent::kEnded)
    return ChildEvent{static_cast<ChildEvent::Kind>(out.value.which),
                      lift::text(out.value.of.text)};
  end_ = {static_cast<ChildEnd::Kind>(out.value.of.ended.kind),
          lift::text(out.value.of.ended.text)};
  return std::nullopt;
}

Task<std::optional<ChildEvent>> Child::receive() & {
  for (;;) {
    if (auto event = try_receive()) co_return std::move(event);
    if (end_) co_return std::nullopt;
    co_await until_ready(pollable());
  }
}

Task<std::optional<std::string>> Child::receive_message() & {
  while (auto event = co_await receive())
    if (event->kind == ChildEvent::Kind::kMessage) co_return std::move(event->text);
  co_return std::nullopt;
}

Task<ChildEnd> Child::wait() & {
  while (co_await receive()) {
  }
  co_return *end_;
}

Result<void> Child::send(std::string_view message) const {
  abi::TextResult out;
  abi::child_send(handle_.get(), message.data(), lift::size(message), &out);
  return lifted(out);
}

Result<void> Child::send_blob(const Blob& blob) const {
  abi::TextResult out;
  abi::child_send_blob(handle_.get(), blob.handle(), &out);
  return lifted(out);
}

Task<Result<Child>> launch(std::string program, std::vector<std::string> arguments) {
  return launch_by(By::kName, std::move(program), std::move(arguments));
}

Task<Result<Child>> launch_hash(std::string hash, std::vector<std::string> arguments) {
  return launch_by(By::kHash, std::move(hash), std::move(arguments));
}

Task<Result<std::string>> run_child(std::string program, std::vector<std::string> arguments) {
  auto child = co_await launch(program, std::move(arguments));
  if (!child) co_return fail(child.error());
  ChildEnd end = co_await child->wait();
  if (!end.is_completed()) co_return fail("[" + program + "] " + word(end.kind) + ": " + end.text);
  co_return std::move(end.text);
}

}  // namespace inferlet
