#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pie/handle.h"
#include "pie/instance_abi.h"
#include "pie/model.h"
#include "pie/poll.h"
#include "pie/result.h"
#include "pie/task.h"

namespace inferlet {

/// How an instance ended.
struct ChildEnd {
  enum class Kind : uint8_t { kCompleted, kAborted, kFailed, kServerError, kOutOfResources };
  Kind kind = Kind::kCompleted;
  std::string text;  ///< the return value, or what happened

  bool is_completed() const { return kind == Kind::kCompleted; }
};

/// What a child said.
struct ChildEvent {
  enum class Kind : uint8_t { kStdout, kStderr, kMessage, kBlob };
  Kind kind = Kind::kStdout;
  std::string text;  ///< of a blob, its bytes
};

/// A program that this one has launched. It ends when this is destroyed, and at the latest with
/// this program. What both have and spend counts together (docs/spec/inferlet-host.md, section 6).
/// One task at a time hears it.
class Child {
 public:
  explicit Child(abi::Handle handle) : handle_(handle) {}

  /// The instance's id, as lists show it.
  std::string id() const;
  /// Ready when there may be something to receive.
  Pollable pollable() const { return Pollable(abi::child_pollable(handle_.get())); }

  /// What it says next; none once it has ended and everything was received. While nobody receives,
  /// a child that has said 1 MiB waits.
  Task<std::optional<ChildEvent>> receive() &;
  Task<std::optional<ChildEvent>> receive() && = delete;
  /// The same if it is there already.
  std::optional<ChildEvent> try_receive();
  /// Its next message, whatever else it says before; none when it ends without one.
  Task<std::optional<std::string>> receive_message() &;
  Task<std::optional<std::string>> receive_message() && = delete;
  /// Its end; what it says before is dropped.
  Task<ChildEnd> wait() &;
  Task<ChildEnd> wait() && = delete;
  /// Its end, once everything before it was received.
  const std::optional<ChildEnd>& end() const { return end_; }

  /// To its `receive()` and `receive_blob()`. Refused when it has ended.
  Result<void> send(std::string_view message) const;
  Result<void> send_blob(const Blob& blob) const;
  /// It ends soon, as kAborted.
  void cancel() const { abi::child_cancel(handle_.get()); }

 private:
  OwnedHandle<abi::child_drop> handle_;
  std::optional<ChildEnd> end_;
};

/// Launches "ns/name" or "ns/name@version"; the error is why it cannot be. `co_await` several by
/// when_all. Dropped, nothing comes of it.
Task<Result<Child>> launch(std::string program, std::vector<std::string> arguments = {});
/// The same by the component's BLAKE3.
Task<Result<Child>> launch_hash(std::string hash, std::vector<std::string> arguments = {});
/// Launches it and waits for its end: what it returns, or how it failed.
Task<Result<std::string>> run_child(std::string program, std::vector<std::string> arguments = {});

}  // namespace inferlet
