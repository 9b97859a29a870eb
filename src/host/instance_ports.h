#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ports/children.h"
#include "ports/end.h"

namespace pie::host {

/// What a running instance says to the outside; one object per instance, implemented by `instance`.
/// Called from worker threads, one call at a time per instance (except on_writable's callback).
/// Nothing here may block.
class InstancePorts {
 public:
  virtual ~InstancePorts() = default;

  /// Bytes of stdout or stderr. Text is cut at character boundaries by the callee.
  virtual void write_stdout(std::string_view bytes) = 0;
  virtual void write_stderr(std::string_view bytes) = 0;
  virtual void send_message(std::string text) = 0;
  virtual void send_blob(std::vector<uint8_t> bytes) = 0;
  /// How many bytes of output the instance's log takes now; 0: the program's writes wait.
  virtual uint64_t writable_bytes() = 0;
  /// Calls `wake` once, from any thread, as soon as writable_bytes() is above 0.
  virtual void on_writable(std::function<void()> wake) = 0;
  /// The last call: the program has ended and what it held in engine and runtime is freed. Comes
  /// on an engine's thread: must be quick and must not call the engine back.
  virtual void on_end(End end) = 0;

  /// Why so many bytes more of output cannot be kept (kResourceExhausted), if they cannot.
  virtual Result<void> check_room(uint64_t bytes) = 0;
  /// What it launches; closed before on_end(). Null: it may launch nothing.
  virtual std::shared_ptr<Children> children() = 0;
  /// The id that clients see of the instance that has launched it; none: a client has.
  virtual std::optional<std::string> parent() const = 0;
};

}  // namespace pie::host
