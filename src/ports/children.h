#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "ports/end.h"
#include "ports/log_storage.h"

namespace pie {

/// What a child said, as its client hears it.
struct ChildEvent {
  EventKind kind = EventKind::kStdout;
  EndKind end = EndKind::kCompleted;  ///< of kEnd, the last one
  std::shared_ptr<const std::string> payload;
};

/// An instance that another one has launched, as that one holds it. Dropping it ends the child.
/// Thread-safe, but for take(); nothing here blocks.
class Child {
 public:
  virtual ~Child() = default;
  virtual const std::string& id() const = 0;
  /// The oldest event that was not taken. One thread at a time.
  virtual std::optional<ChildEvent> take() = 0;
  /// For the child's mailbox. kFailedPrecondition when it has ended; kResourceExhausted.
  virtual Result<void> post_message(std::string text) = 0;
  virtual Result<void> post_blob(BlobRef blob) = 0;
  /// Ends it, as kAborted, if it has not ended.
  virtual void cancel() = 0;
};

/// What is to be launched.
struct ChildRequest {
  enum class By { kName, kHash };
  By by = By::kName;
  std::string program;
  std::vector<std::string> arguments;
  /// take() of the child may give something; any thread, quick.
  std::function<void()> changed;
};

/// The children of one instance. Thread-safe; nothing here blocks.
class Children {
 public:
  using Done = std::function<void(Result<std::unique_ptr<Child>>)>;

  virtual ~Children() = default;
  /// `done` comes once, at once or from any thread, or never when the server stops. kNotFound: no
  /// such program; kResourceExhausted: too many of them live, in too many generations, or a quota
  /// is used up.
  virtual void launch(ChildRequest request, Done done) = 0;
  /// Ends those that live and refuses others. `done` comes when none lives, at once or from any
  /// thread.
  virtual void close(std::function<void()> done) = 0;
};

}  // namespace pie
