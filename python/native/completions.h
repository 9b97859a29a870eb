#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "client/client.h"

namespace pie::python {

namespace nb = nanobind;

/// What Python raises an exception from.
struct ErrorInfo {
  std::string code;
  std::string message;
};
ErrorInfo error_info(const Error& error);

/// How far an upload is; not the end of its call.
struct ProgressInfo {
  uint64_t sent_bytes;
  uint64_t total_bytes;
};

/// One thing that happened to the call `token`.
struct Completion {
  using Value = std::variant<std::monostate, bool, std::string, client::Instance,
                             std::vector<client::InstanceInfo>, ProgressInfo, ErrorInfo>;
  uint64_t token;
  Value value;
};

/// From the client's thread to Python's event loop: completions queue up here without the GIL, and
/// one call of `wake` tells the loop to take them all. Thread-safe.
class Completions {
 public:
  explicit Completions(nb::object wake) : wake_(std::move(wake)) {}

  uint64_t next_token();
  void push(uint64_t token, Completion::Value value);
  /// Everything that queued up. With the GIL.
  std::vector<Completion> take();
  /// Wakes nobody from now on. With the GIL; before the last reference goes.
  void detach();

 private:
  std::mutex mutex_;
  uint64_t next_token_ = 1;
  std::vector<Completion> queue_;
  bool wake_pending_ = false;
  nb::object wake_;  // under the GIL
};

/// Whether another thread may still take the GIL; not when the interpreter is shutting down.
bool interpreter_is_alive();

}  // namespace pie::python
