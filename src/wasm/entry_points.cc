#include "wasm/entry_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "wasm/handle_arguments.h"
#include "wasm/lowering.h"
#include "wasm/refusal.h"
#include "wasm/typed_function.h"

namespace pie::wasm {
namespace {

using Kind = Outcome::Kind;

/// wasmtime's error for a call that ends the instance; the outcome itself is in the store.
wasmtime_error_t* end_instance(StoreData& store, Kind kind, std::string text, int exit_code = 0) {
  release_handles(store);
  store.verdict = Outcome{kind, std::move(text), exit_code};
  return wasmtime_error_new("the host ended the instance");
}

/// A call of a function that is not served; the text names it.
struct Unserved {
  std::string text;
};

/// Runs the body of a host function. Nothing may unwind into wasmtime.
template <class Body>
wasmtime_error_t* guarded(StoreData& store, const Import& import, Body body) noexcept {
  if (store.verdict) return wasmtime_error_new("the host has ended the instance");
  const auto named = [&](const std::exception& e) { return import.name + ": " + e.what(); };
  try {
    body();
    release_handles(store);
    return nullptr;
  } catch (const ExitRequest& e) {
    return end_instance(store, Kind::kExit, "", e.code());
  } catch (const LimitError& e) {
    return end_instance(store, Kind::kLimit, e.what());
  } catch (const GuestError& e) {
    return end_instance(store, Kind::kTrap, named(e));
  } catch (const Unserved& unserved) {
    return end_instance(store, Kind::kTrap, unserved.text);
  } catch (const std::exception& e) {
    return end_instance(store, Kind::kFault, named(e));
  }
}

void refuse_or_throw(const Import& import, const wasmtime_component_func_type_t* type,
                     ValueWriter result) {
  if (!import.unserved_message.empty())
    throw Unserved{fmt::format("{} ({} was called)", import.unserved_message, import.name)};
  if (!import.refusable || !refuse(type, *import.component, result))
    throw Unserved{import.name + " is not served"};
}

/// A fiber's sleep in an asynchronous host function.
class PendingWait {
 public:
  PendingWait(const Import& import, const Lowering& lowering, PendingResult wait,
              std::span<wasmtime_component_val_t> results)
      : import_(import), lowering_(lowering), wait_(std::move(wait)), results_(results) {}
  ~PendingWait() { disarm(); }
  PendingWait(const PendingWait&) = delete;
  PendingWait& operator=(const PendingWait&) = delete;

  /// Whether the wait is over; then the result is set, else a waker stands at every event.
  bool done() noexcept {
    for (;;) {
      std::vector<uint32_t> ready;
      for (uint32_t i = 0; i < wait_.events.size(); ++i)
        if (wait_.events[i]->ready()) ready.push_back(i);
      if (ready.empty() && !wait_.events.empty()) {
        if (armed_.empty() || lowering_.store.event_fired.load()) arm();
        return false;
      }
      disarm();
      if (!wait_.then) {
        finish(ready);
        return true;
      }
      const std::function<PendingResult()> then = std::move(wait_.then);
      if (!succeeds([&] { wait_ = then(); })) return true;
    }
  }

 private:
  void finish(const std::vector<uint32_t>& ready) noexcept {
    if (!wait_.finish) return;
    succeeds([&] {
      NewValue made;
      wait_.finish(ready, ValueWriter(*made, lowering_));
      if (!results_.empty()) results_[0] = made.release();
    });
  }

  /// Runs a part of the function. When it ends the instance, a call with a result fails for want of
  /// one of its type; one without goes on to the guest's next deadline, which is now, and reaches
  /// no other host function.
  template <class Part>
  bool succeeds(Part part) noexcept {
    const WasmError failed(guarded(lowering_.store, import_, part));
    if (failed) wasmtime_context_set_epoch_deadline(lowering_.context, 0);
    return !failed;
  }

  /// Puts one waker at each event, however often the wait names it.
  void arm() {
    disarm();
    lowering_.store.event_fired.store(false);
    std::vector<Readiness*> events;
    events.reserve(wait_.events.size());
    for (const ReadinessRef& event : wait_.events) events.push_back(event.get());
    std::sort(events.begin(), events.end());
    events.erase(std::unique(events.begin(), events.end()), events.end());
    armed_.reserve(events.size());
    for (Readiness* event : events)
      armed_.emplace_back(event, event->add_waiter(lowering_.store.waker()));
  }
  void disarm() {
    for (const auto& [event, token] : armed_) event->remove_waiter(token);
    armed_.clear();
  }

  const Import& import_;
  /// Its context is that of the call which waits: no other is made of this store before it ends.
  const Lowering lowering_;
  PendingResult wait_;
  const std::span<wasmtime_component_val_t> results_;
  std::vector<std::pair<Readiness*, uint64_t>> armed_;  ///< events of wait_, with our waker's token
};

bool wait_is_done(void* env) { return static_cast<PendingWait*>(env)->done(); }
void delete_wait(void* env) { delete static_cast<PendingWait*>(env); }

/// Makes the call of an asynchronous function; the continuation is its wait.
wasmtime_error_t* begin_wait(const Import& import, wasmtime_context_t* context,
                             std::span<const wasmtime_component_val_t> arguments,
                             std::span<wasmtime_component_val_t> results, Numbers numbers,
                             wasmtime_async_continuation_t* continuation) {
  auto& store = *static_cast<StoreData*>(wasmtime_context_get_data(context));
  return guarded(store, import, [&] {
    take_handles(store, context, arguments.data(), arguments.size());
    const Lowering lowering{store, context, numbers};
    HostCall call(store, arguments.data(), nullptr, lowering);  // the result comes after the wait
    auto wait =
        std::make_unique<PendingWait>(import, lowering, import.function->async(call), results);
    *continuation = {wait_is_done, wait.release(), delete_wait};
  });
}

/// Makes a call that answers at once; `answer` takes the HostCall.
template <class Answer>
wasmtime_error_t* answer_call(const Import& import, wasmtime_context_t* context,
                              std::span<const wasmtime_component_val_t> arguments,
                              std::span<wasmtime_component_val_t> results, Numbers numbers,
                              const Answer& answer) {
  auto& store = *static_cast<StoreData*>(wasmtime_context_get_data(context));
  return guarded(store, import, [&] {
    take_handles(store, context, arguments.data(), arguments.size());
    const Lowering lowering{store, context, numbers};
    HostCall call(store, arguments.data(), results.data(), lowering);
    answer(call);
  });
}

}  // namespace

wasmtime_error_t* call_sync_import(void* data, wasmtime_context_t* context,
                                   const wasmtime_component_func_type_t*,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count) {
  const auto& import = *static_cast<const Import*>(data);
  return answer_call(import, context, {arguments, argument_count}, {results, result_count},
                     Numbers::kOneByOne, import.function->sync);
}

wasmtime_error_t* call_unserved_import(void* data, wasmtime_context_t* context,
                                       const wasmtime_component_func_type_t* type,
                                       wasmtime_component_val_t* arguments, size_t argument_count,
                                       wasmtime_component_val_t* results, size_t result_count) {
  const auto& import = *static_cast<const Import*>(data);
  return answer_call(import, context, {arguments, argument_count}, {results, result_count},
                     Numbers::kOneByOne,
                     [&](HostCall& call) { refuse_or_throw(import, type, call.result()); });
}

wasmtime_error_t* call_bulk_import(void* data, wasmtime_context_t* context,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count) {
  const auto& import = *static_cast<const Import*>(data);
  return answer_call(import, context, {arguments, argument_count}, {results, result_count},
                     Numbers::kWhole, import.function->sync);
}

void call_async_import(void* data, wasmtime_context_t* context,
                       const wasmtime_component_func_type_t*, wasmtime_component_val_t* arguments,
                       size_t argument_count, wasmtime_component_val_t* results,
                       size_t result_count, wasmtime_error_t** error,
                       wasmtime_async_continuation_t* continuation) {
  *error = begin_wait(*static_cast<const Import*>(data), context, {arguments, argument_count},
                      {results, result_count}, Numbers::kOneByOne, continuation);
}

void call_bulk_async_import(void* data, wasmtime_context_t* context,
                            wasmtime_component_val_t* arguments, size_t argument_count,
                            wasmtime_component_val_t* results, size_t result_count,
                            wasmtime_error_t** error, wasmtime_async_continuation_t* continuation) {
  *error = begin_wait(*static_cast<const Import*>(data), context, {arguments, argument_count},
                      {results, result_count}, Numbers::kWhole, continuation);
}

wasmtime_error_t* drop_object(void*, wasmtime_context_t* context, uint32_t number) {
  auto& store = *static_cast<StoreData*>(wasmtime_context_get_data(context));
  store.handles.take(number);
  return nullptr;
}

}  // namespace pie::wasm
