#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/error.h"
#include "ports/end.h"
#include "wasm/runtime.h"

namespace pie::host {

/// The longest text of an end.
inline constexpr size_t kEndTextBytesMax = 16U << 20;

/// How one instance ends when somebody else than its program decides: a client that terminates it,
/// also before it is started, the engine that refuses its pass. Shared with callbacks that may
/// outlive the instance. Thread-safe.
class Ending {
 public:
  /// The verdict, when it was terminated before its start; then it is not to be started.
  std::optional<End> end_before_start();
  /// Hands over the started instance; it is killed at once when its end was decided meanwhile.
  void attach(std::shared_ptr<wasm::GuestInstance> instance);

  /// Ends the instance with `end`, unless it ends by itself first or was told to before.
  void terminate(End end);
  /// Ends the instance for an error of the engine's. It decides the end also when the program
  /// returns before it is stopped. kCancelled is no failure: the instance is going anyway.
  void fail(const Error& error);

  /// The verdict, when the runtime has let go of the instance. `returned`: set-return's value. Its
  /// text is UTF-8, and shortened, with a mark, to kEndTextBytesMax.
  End resolve(const wasm::Outcome& outcome, std::string returned);

  /// The running instance; null before attach() and after resolve().
  std::shared_ptr<wasm::GuestInstance> instance() const;

 private:
  End verdict(const wasm::Outcome& outcome, std::string returned);
  void decide(End end, std::optional<End>& slot);

  mutable std::mutex mutex_;
  std::shared_ptr<wasm::GuestInstance> instance_;
  std::optional<End> terminated_, failed_;
  bool resolved_ = false;
};

}  // namespace pie::host
