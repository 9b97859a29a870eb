#include "wasm/fiber.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <utility>

#include "wasm/lowering.h"
#include "wasm/trap_text.h"
#include "wasm/wasmtime_extra.h"

namespace pie::wasm {
namespace {

/// What wasmtime says when one host call copies more than it allows: text and the lists that are
/// copied whole (bulk_shape.h) count their bytes there, other lists 48 an element. The bound lets a
/// message and a blob of 16 MiB through, and keeps the longest call under 100 ms.
constexpr std::string_view kHostCallFuel = "fuel allocated for hostcalls";
constexpr uint64_t kHostCallBytesMax = 20ULL << 20;
constexpr uint64_t kHostCallBytesPerElement = 48;

/// What the system's errors end with, of std::io::Error and of rustix.
constexpr std::string_view kSystemError = "(os error ";

bool take_memory(void* budget, uint64_t bytes) {
  return static_cast<MemoryBudget*>(budget)->take(bytes);
}

void memory_failed(void* budget, uint64_t bytes) {
  static_cast<MemoryBudget*>(budget)->give_back(bytes);
  static_cast<MemoryBudget*>(budget)->set_machine_full();
}

uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

Fiber::Fiber(std::shared_ptr<FiberScheduler> scheduler, InstanceSpec spec,
             std::function<void(Fiber&)> on_released, std::function<void(Fiber&)> on_gone)
    : StoreData(spec.limits.handles_max),
      scheduler_(std::move(scheduler)),
      limits_(spec.limits),
      quotas_(std::move(spec.quotas)),
      entry_(spec.entry),
      argument_handles_(std::move(spec.arguments)),
      on_end_(std::move(spec.on_end)),
      on_blocked_(std::move(spec.on_blocked)),
      on_released_(std::move(on_released)),
      on_gone_(std::move(on_gone)),
      memory_(limits_.memory_bytes_max, quotas_ ? &quotas_->memory : nullptr) {
  component = std::static_pointer_cast<const LinkedComponent>(std::move(spec.component));
  contexts = std::move(spec.contexts);
  result_.kind = WASMTIME_COMPONENT_BOOL;
}

Fiber::~Fiber() = default;

void Fiber::kill() {
  killed_.store(true);
  scheduler_->wake_first(shared_from_this());
}

std::function<void()> Fiber::waker() {
  return [self = shared_from_this()] {
    self->event_fired.store(true);
    self->scheduler_->wake(self);
  };
}

Task::Slice Fiber::run_slice() {
  // Deleting the future ends a blocked or pre-empted call at once; no guest code runs any more.
  if (killed_.load()) return end({Outcome::Kind::kKilled, "", 0});
  slice_start_ns_ = thread_cpu_ns();
  yielded_ = false;
  resumed_ = true;
  const int64_t heap_before = pie_wasmtime_thread_heap_bytes();
  const bool ended = advance();
  heap_bytes_ += pie_wasmtime_thread_heap_bytes() - heap_before;
  const uint64_t used_ns = slice_cpu_ns();
  cpu_ns_.fetch_add(used_ns, std::memory_order_relaxed);
  if (quotas_) quotas_->cpu.add(used_ns);
  if (ended) return end(outcome());
  if (!charge_heap()) return end(memory_limit());
  if (yielded_) return Slice::kYielded;
  if (on_blocked_) on_blocked_();
  return Slice::kBlocked;
}

void Fiber::make_store() {
  store_.reset(
      wasmtime_store_new(component->engine().get(), static_cast<StoreData*>(this), nullptr));
  pie_wasmtime_store_limits(store_.get(),
                            {.instances = kCoreInstancesMax,
                             .memories = kMemoriesMax,
                             .tables = kTablesMax,
                             .table_elements = component->needs().table_elements_max()},
                            {.data = &memory_, .take = take_memory, .failed = memory_failed});
  pie_wasmtime_context_set_hostcall_fuel(wasmtime_store_context(store_.get()), kHostCallBytesMax);
  // Before instantiation: a start function may spin, and a deadline of 0 has passed already.
  wasmtime_context_set_epoch_deadline(wasmtime_store_context(store_.get()), 1);
  wasmtime_store_epoch_deadline_callback(store_.get(), on_epoch, this, nullptr);
}

bool Fiber::advance() {
  if (stage_ == Stage::kNew) {
    make_store();
    stage_ = Stage::kInstantiating;
    future_.reset(wasmtime_component_linker_instantiate_async(
        component->linker(), wasmtime_store_context(store_.get()), component->raw(), &instance_,
        &error_));
  }
  for (;;) {
    if (!wasmtime_call_future_poll(future_.get())) return false;
    future_.reset();
    if (stage_ == Stage::kRunning || error_) return true;
    stage_ = Stage::kRunning;
    if (!start_call()) return true;
  }
}

bool Fiber::start_call() {
  wasmtime_context_t* context = wasmtime_store_context(store_.get());
  if (!wasmtime_component_instance_get_func(&instance_, context, component->entry_export(entry_),
                                            &function_)) {
    verdict = Outcome{Outcome::Kind::kFault, "the component's entry function is gone", 0};
    return false;
  }
  try {
    arguments_.reserve(argument_handles_.size());
    for (OwnedHandle& one : argument_handles_) {
      NewValue made;
      ValueWriter(*made, Lowering{*this, context}).handle(one.resource, std::move(one.object));
      arguments_.push_back(made.release());
    }
  } catch (const std::exception& e) {
    verdict = Outcome{Outcome::Kind::kFault, e.what(), 0};
    return false;
  }
  argument_handles_.clear();
  const size_t result_count = entry_ == EntryPoint::kRun ? 1 : 0;
  future_.reset(wasmtime_component_func_call_async(
      &function_, context, arguments_.data(), arguments_.size(), &result_, result_count, &error_));
  return true;
}

wasmtime_error_t* Fiber::on_epoch(wasmtime_context_t*, void* data, uint64_t* delta,
                                  wasmtime_update_deadline_kind_t* kind) {
  return static_cast<Fiber*>(data)->at_deadline(delta, kind);
}

/// At a deadline: yield with delta 0, so that the guest is back here at once when it is resumed;
/// only then it is given a tick.
wasmtime_error_t* Fiber::at_deadline(uint64_t* delta, wasmtime_update_deadline_kind_t* kind) {
  if (verdict) return wasmtime_error_new("the host has ended the instance");
  if (killed_.load()) {
    verdict = Outcome{Outcome::Kind::kKilled, "", 0};
    return wasmtime_error_new("killed");
  }
  if (over_cpu_limit()) {
    verdict = limit("CPU time", cpu_ns() + slice_cpu_ns(), limits_.cpu_ns_max, "ns");
    return wasmtime_error_new("the instance's CPU limit");
  }
  if (quotas_ && quotas_->cpu.would_exceed(slice_cpu_ns())) {
    verdict = Outcome{Outcome::Kind::kLimit, quotas_->cpu.refusal(slice_cpu_ns()), 0};
    return wasmtime_error_new("the user's CPU limit");
  }
  if (resumed_) {
    resumed_ = false;
    *delta = 1;
    *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    return nullptr;
  }
  yielded_ = true;
  *delta = 0;
  *kind = WASMTIME_UPDATE_DEADLINE_YIELD;
  return nullptr;
}

bool Fiber::charge_heap() {
  constexpr uint64_t kStepBytes = 256 << 10;  // most instances stay below one
  constexpr uint64_t kHandleBytes = 256;      // an object, its event, its timer
  const uint64_t held =
      static_cast<uint64_t>(std::max<int64_t>(heap_bytes_, 0)) + handles.count() * kHandleBytes;
  const uint64_t due = held / kStepBytes * kStepBytes;
  if (due > heap_charged_bytes_ && !memory_.take(due - heap_charged_bytes_)) return false;
  if (due < heap_charged_bytes_) memory_.give_back(heap_charged_bytes_ - due);
  heap_charged_bytes_ = due;
  return true;
}

uint64_t Fiber::slice_cpu_ns() const { return thread_cpu_ns() - slice_start_ns_; }

bool Fiber::over_cpu_limit() const {
  return limits_.cpu_ns_max > 0 && cpu_ns() + slice_cpu_ns() > limits_.cpu_ns_max;
}

Outcome Fiber::limit(const char* what, uint64_t used, uint64_t allowed, const char* unit) const {
  return {Outcome::Kind::kLimit,
          fmt::format("{}: used {} {}, allowed {} {}", what, used, unit, allowed, unit), 0};
}

/// The end of one that was refused memory.
Outcome Fiber::memory_limit() const {
  if (!memory_.shared_refusal().empty())
    return {Outcome::Kind::kLimit, memory_.shared_refusal(), 0};
  return limit("memory", memory_.refused_bytes(), memory_.bytes_max(), "bytes");
}

/// How the call that just ended went.
Outcome Fiber::outcome() {
  const WasmError error(std::exchange(error_, nullptr));
  if (verdict) {
    if (verdict->kind == Outcome::Kind::kTrap && error) verdict->text += backtrace_of(*error);
    return std::move(*verdict);
  }
  if (error) {
    const std::string cause = cause_of(*error);
    const bool unmade = stage_ == Stage::kInstantiating && cause.find(kSystemError) != cause.npos;
    if (unmade || memory_.machine_full())
      return {Outcome::Kind::kFault, "the machine has no more memory: " + cause, 0};
    if (memory_.refused_bytes() > 0) return memory_limit();
    if (cause.find(kHostCallFuel) != std::string::npos)
      return {
          Outcome::Kind::kLimit,
          fmt::format("data copied by one host call: used more, allowed {} bytes at {} for each "
                      "list element; hand it over in smaller pieces",
                      kHostCallBytesMax, kHostCallBytesPerElement) +
              backtrace_of(*error),
          0};
    return {Outcome::Kind::kTrap, cause + backtrace_of(*error), 0};
  }
  if (entry_ == EntryPoint::kHttpHandler) return {};
  const wasmtime_component_valresult_t& result = result_.of.result;
  if (result.is_ok) return {};
  return {Outcome::Kind::kErr, {result.val->of.string.data, result.val->of.string.size}, 0};
}

Task::Slice Fiber::end(Outcome outcome) {
  future_.reset();
  if (error_) wasmtime_error_delete(std::exchange(error_, nullptr));
  wasmtime_component_val_delete(&result_);
  result_ = {};
  for (auto& argument : arguments_) wasmtime_component_val_delete(&argument);
  arguments_.clear();
  argument_handles_.clear();
  store_.reset();
  memory_.give_back(memory_.used_bytes());
  handle_arguments = {};
  handles.clear();
  on_released_(*this);
  if (on_end_) on_end_(std::move(outcome));
  on_end_ = nullptr;
  on_blocked_ = nullptr;
  for (auto& context : contexts) context.reset();
  component.reset();
  on_gone_(*this);
  return Slice::kDone;
}

}  // namespace pie::wasm
