#include "wasm/host_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "wasm/call_arguments.h"
#include "wasm/refusal.h"
#include "wasm/value_convert.h"

namespace pie::wasm {
namespace {

using Kind = Outcome::Kind;

/// Lets go of the call's handles; keeps the storage that ordinary calls need.
void release_arguments(InstanceState& state) {
  constexpr size_t kKept = 64;
  state.handle_arguments.clear();
  if (state.handle_arguments.capacity() > kKept) state.handle_arguments.shrink_to_fit();
}

/// wasmtime's error for a call that ends the instance; the outcome itself is in the state.
wasmtime_error_t* end_instance(InstanceState& state, Kind kind, std::string text,
                               int exit_code = 0) {
  release_arguments(state);
  state.verdict = Outcome{kind, std::move(text), exit_code};
  return wasmtime_error_new("the host ended the instance");
}

/// A call of a function that is not served; the text names it.
struct Unserved {
  std::string text;
};

/// Runs the body of a host function. Nothing may unwind into wasmtime.
template <class Body>
wasmtime_error_t* guarded(InstanceState& state, const Import& import, Body body) noexcept {
  if (state.verdict) return wasmtime_error_new("the host has ended the instance");
  const auto named = [&](const std::exception& e) { return import.name + ": " + e.what(); };
  try {
    body();
    release_arguments(state);
    return nullptr;
  } catch (const ExitRequest& e) {
    return end_instance(state, Kind::kExit, "", e.code());
  } catch (const LimitError& e) {
    return end_instance(state, Kind::kLimit, e.what());
  } catch (const GuestError& e) {
    return end_instance(state, Kind::kTrap, named(e));
  } catch (const Unserved& unserved) {
    return end_instance(state, Kind::kTrap, unserved.text);
  } catch (const std::exception& e) {
    return end_instance(state, Kind::kFault, named(e));
  }
}

void refuse_or_throw(const Import& import, const wasmtime_component_func_type_t* type,
                     HostCall& call) {
  if (!import.unserved_message.empty())
    throw Unserved{fmt::format("{} ({} was called)", import.unserved_message, import.name)};
  Refusal refusal;
  if (import.refusable) refusal = refuse(type, *import.component);
  if (!refusal.answered) throw Unserved{import.name + " is not served"};
  if (refusal.value) call.ret(std::move(*refusal.value));
}

/// A fiber's sleep in an asynchronous host function.
class PendingWait {
 public:
  PendingWait(InstanceState& state, const Import& import, wasmtime_context_t* context, Wait wait,
              std::span<wasmtime_component_val_t> results, Numbers numbers)
      : state_(state),
        import_(import),
        context_(context),
        wait_(std::move(wait)),
        results_(results),
        numbers_(numbers) {}
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
        if (armed_.empty() || state_.event_fired.load()) arm();
        return false;
      }
      disarm();
      if (!wait_.then) {
        finish(ready);
        return true;
      }
      const std::function<Wait()> then = std::move(wait_.then);
      if (!succeeds([&] { wait_ = then(); })) return true;
    }
  }

 private:
  void finish(const std::vector<uint32_t>& ready) noexcept {
    if (!wait_.finish) return;
    succeeds([&] {
      const Value value = wait_.finish(ready);
      if (results_.empty()) return;
      const wasmtime_component_val_t made =
          to_wasmtime(value, handle_maker(state_, context_), numbers_);
      wasmtime_component_val_delete(&results_[0]);
      results_[0] = made;
    });
  }

  /// Runs a part of the function. When it ends the instance, a call with a result fails for want of
  /// one of its type; one without goes on to the guest's next deadline, which is now, and reaches
  /// no other host function.
  template <class Part>
  bool succeeds(Part part) noexcept {
    const WasmError failed(guarded(state_, import_, part));
    if (failed) wasmtime_context_set_epoch_deadline(context_, 0);
    return !failed;
  }

  /// Puts one waker at each event, however often the wait names it.
  void arm() {
    disarm();
    state_.event_fired.store(false);
    std::vector<Event*> events;
    events.reserve(wait_.events.size());
    for (const EventRef& event : wait_.events) events.push_back(event.get());
    std::sort(events.begin(), events.end());
    events.erase(std::unique(events.begin(), events.end()), events.end());
    armed_.reserve(events.size());
    for (Event* event : events) armed_.emplace_back(event, event->add_waiter(state_.waker()));
  }
  void disarm() {
    for (const auto& [event, token] : armed_) event->remove_waiter(token);
    armed_.clear();
  }

  InstanceState& state_;
  const Import& import_;
  /// That of the call which waits: no other is made of this store before it ends.
  wasmtime_context_t* const context_;
  Wait wait_;
  const std::span<wasmtime_component_val_t> results_;
  const Numbers numbers_;
  std::vector<std::pair<Event*, uint64_t>> armed_;  ///< events of wait_, with our waker's token
};

bool wait_is_done(void* env) { return static_cast<PendingWait*>(env)->done(); }
void delete_wait(void* env) { delete static_cast<PendingWait*>(env); }

/// Makes the call of an asynchronous function; the continuation is its wait.
wasmtime_error_t* begin_wait(const Import& import, wasmtime_context_t* context,
                             std::span<const wasmtime_component_val_t> arguments,
                             std::span<wasmtime_component_val_t> results, Numbers numbers,
                             wasmtime_async_continuation_t* continuation) {
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  return guarded(state, import, [&] {
    take_handles(state, context, arguments.data(), arguments.size());
    HostCall call(state, context, arguments, results, numbers);
    auto wait = std::make_unique<PendingWait>(state, import, context, import.function->async(call),
                                              results, numbers);
    *continuation = {wait_is_done, wait.release(), delete_wait};
  });
}

}  // namespace

wasmtime_error_t* call_sync_import(void* data, wasmtime_context_t* context,
                                   const wasmtime_component_func_type_t* type,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count) {
  const auto& import = *static_cast<const Import*>(data);
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  return guarded(state, import, [&] {
    take_handles(state, context, arguments, argument_count);
    HostCall call(state, context, {arguments, argument_count}, {results, result_count});
    if (import.function)
      import.function->sync(call);
    else
      refuse_or_throw(import, type, call);
  });
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

wasmtime_error_t* call_bulk_import(void* data, wasmtime_context_t* context,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count) {
  const auto& import = *static_cast<const Import*>(data);
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  return guarded(state, import, [&] {
    take_handles(state, context, arguments, argument_count);
    HostCall call(state, context, {arguments, argument_count}, {results, result_count},
                  Numbers::kWhole);
    import.function->sync(call);
  });
}

wasmtime_error_t* drop_object(void*, wasmtime_context_t* context, uint32_t number) {
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  state.handles.take(number);
  return nullptr;
}

}  // namespace pie::wasm
