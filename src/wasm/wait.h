#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "wasm/wit_type.h"

namespace pie::wasm {

/// A host function's wait, whatever its result: the fiber sleeps until one of the events is ready
/// (not at all without any), then `finish` writes the result, or `then` gives what is waited for
/// next. What they throw ends the instance as what the function throws.
struct PendingResult {
  std::vector<ReadinessRef> events;
  std::function<void(const std::vector<uint32_t>& ready, ValueWriter result)> finish;
  std::function<PendingResult()> then;
};

/// What an asynchronous host function returns: the events that it waits for, and how its result
/// comes about then. The function's arguments are gone by then: what is needed of them is kept in
/// `finish`. T is void for a function without a result.
template <class T = void>
class Wait {
 public:
  /// `finish()` or `finish(ready)` gives the result, from the indices of the events that are ready.
  template <class Finish>
    requires std::invocable<Finish&> || std::invocable<Finish&, const std::vector<uint32_t>&>
  Wait(std::vector<ReadinessRef> events, Finish finish) {
    pending_.events = std::move(events);
    pending_.finish = [finish = std::move(finish)](const std::vector<uint32_t>& ready,
                                                   ValueWriter result) mutable {
      if constexpr (std::invocable<Finish&, const std::vector<uint32_t>&>)
        write(result, [&] { return finish(ready); });
      else
        write(result, finish);
    };
  }
  /// Nothing is left to do after the wait.
  explicit Wait(std::vector<ReadinessRef> events)
    requires std::is_void_v<T>
  {
    pending_.events = std::move(events);
  }
  /// First these, then what `next()` waits for.
  template <class Next>
  static Wait first(std::vector<ReadinessRef> events, Next next) {
    Wait wait;
    wait.pending_.events = std::move(events);
    wait.pending_.then = [next = std::move(next)]() mutable { return next().release(); };
    return wait;
  }

  PendingResult release() { return std::move(pending_); }

 private:
  Wait() = default;
  template <class Finish>
  static void write([[maybe_unused]] ValueWriter result, Finish&& finish) {
    if constexpr (std::is_void_v<T>)
      finish();
    else
      WitType<T>::write(result, finish());
  }

  PendingResult pending_;
};

}  // namespace pie::wasm
