#include "wasm/host_call.h"

#include <fmt/format.h>

#include <exception>
#include <string>
#include <utility>

#include "wasm/call_arguments.h"
#include "wasm/refusal.h"
#include "wasm/value_convert.h"

namespace pie::wasm {
namespace {

using Kind = Outcome::Kind;

/// wasmtime's error for a call that ends the instance; the outcome itself is in the state.
wasmtime_error_t* end_instance(InstanceState& state, Kind kind, std::string text,
                               int exit_code = 0) {
  state.handle_arguments.clear();
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
  const auto named = [&](const std::exception& e) { return import.name + ": " + e.what(); };
  try {
    body();
    state.handle_arguments.clear();
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
  PendingWait(InstanceState& state, wasmtime_context_t* context, Wait wait,
              wasmtime_component_val_t* results, size_t result_count)
      : state_(state),
        context_(context),
        wait_(std::move(wait)),
        results_(results),
        result_count_(result_count) {}
  ~PendingWait() { disarm(); }
  PendingWait(const PendingWait&) = delete;
  PendingWait& operator=(const PendingWait&) = delete;

  /// Whether the wait is over; then the result is set, else a waker stands at every event.
  bool done() {
    std::vector<uint32_t> ready;
    for (uint32_t i = 0; i < wait_.events.size(); ++i)
      if (wait_.events[i]->ready()) ready.push_back(i);
    if (ready.empty() && !wait_.events.empty()) {
      if (tokens_.empty() || state_.event_fired.load()) arm();
      return false;
    }
    disarm();
    finish(ready);
    return true;
  }

 private:
  void finish(const std::vector<uint32_t>& ready) noexcept {
    if (!wait_.finish) return;
    const Value value = wait_.finish(ready);
    if (result_count_ == 0) return;
    try {
      const wasmtime_component_val_t made = to_wasmtime(value, handle_maker(state_, context_));
      wasmtime_component_val_delete(&results_[0]);
      results_[0] = made;
    } catch (const std::exception& e) {
      // Without a result of its type the call fails, and the verdict says why.
      state_.verdict = Outcome{Kind::kLimit, e.what(), 0};
    }
  }

  void arm() {
    disarm();
    state_.event_fired.store(false);
    tokens_.reserve(wait_.events.size());
    for (const EventRef& event : wait_.events) tokens_.push_back(event->add_waiter(state_.waker()));
  }
  void disarm() {
    for (size_t i = 0; i < tokens_.size(); ++i) wait_.events[i]->remove_waiter(tokens_[i]);
    tokens_.clear();
  }

  InstanceState& state_;
  /// That of the call which waits: no other is made of this store before it ends.
  wasmtime_context_t* const context_;
  Wait wait_;
  wasmtime_component_val_t* const results_;
  const size_t result_count_;
  std::vector<uint64_t> tokens_;
};

bool wait_is_done(void* env) { return static_cast<PendingWait*>(env)->done(); }
void delete_wait(void* env) { delete static_cast<PendingWait*>(env); }

}  // namespace

wasmtime_error_t* call_sync_import(void* data, wasmtime_context_t* context,
                                   const wasmtime_component_func_type_t* type,
                                   wasmtime_component_val_t* arguments, size_t argument_count,
                                   wasmtime_component_val_t* results, size_t result_count) {
  const auto& import = *static_cast<const Import*>(data);
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  return guarded(state, import, [&] {
    take_handles(state, context, arguments, argument_count);
    HostCall call(state, context, arguments, argument_count, results, result_count);
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
  const auto& import = *static_cast<const Import*>(data);
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  *error = guarded(state, import, [&] {
    take_handles(state, context, arguments, argument_count);
    HostCall call(state, context, arguments, argument_count, results, result_count);
    auto wait = std::make_unique<PendingWait>(state, context, import.function->async(call), results,
                                              result_count);
    *continuation = {wait_is_done, wait.release(), delete_wait};
  });
}

wasmtime_error_t* drop_object(void*, wasmtime_context_t* context, uint32_t number) {
  auto& state = *static_cast<InstanceState*>(wasmtime_context_get_data(context));
  state.handles.take(number);
  return nullptr;
}

}  // namespace pie::wasm
