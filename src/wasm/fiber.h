#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wasm/fiber_scheduler.h"
#include "wasm/memory_budget.h"
#include "wasm/runtime.h"
#include "wasm/store_data.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// One running instance: a wasmtime store whose call of its entry is polled by the scheduler's
/// workers. Everything of wasmtime's that belongs to it is made, used and destroyed on them.
class Fiber final : public GuestInstance,
                    public Task,
                    public StoreData,
                    public std::enable_shared_from_this<Fiber> {
 public:
  /// `on_released` is called once everything is gone but on_end has not been; `on_gone` last.
  Fiber(std::shared_ptr<FiberScheduler> scheduler, InstanceSpec spec,
        std::function<void(Fiber&)> on_released, std::function<void(Fiber&)> on_gone);
  ~Fiber() override;

  /// Queues it for the first time.
  void start() { scheduler_->wake(shared_from_this()); }

  void kill() override;
  uint64_t memory_bytes() const override { return memory_.used_bytes(); }
  uint64_t cpu_ns() const override { return cpu_ns_.load(std::memory_order_relaxed); }

  Slice run_slice() override;
  std::function<void()> waker() override;

 private:
  /// Which call the future stands for.
  enum class Stage { kNew, kInstantiating, kRunning };

  static wasmtime_error_t* on_epoch(wasmtime_context_t* context, void* data, uint64_t* delta,
                                    wasmtime_update_deadline_kind_t* kind);
  wasmtime_error_t* at_deadline(uint64_t* delta, wasmtime_update_deadline_kind_t* kind);
  void make_store();
  /// Polls; true when the call has ended (well or not).
  bool advance();
  bool start_call();
  /// Counts its handles and what wasmtime keeps for it outside its linear memories; false when
  /// that is too much.
  bool charge_heap();
  Outcome memory_limit() const;
  bool over_cpu_limit() const;
  uint64_t slice_cpu_ns() const;
  Outcome outcome();
  Outcome limit(const char* what, uint64_t used, uint64_t allowed, const char* unit) const;
  Slice end(Outcome outcome);

  const std::shared_ptr<FiberScheduler> scheduler_;
  const InstanceLimits limits_;
  const UserQuotasRef quotas_;
  const EntryPoint entry_;
  std::vector<OwnedHandle> argument_handles_;  ///< until the call is made of them
  std::function<void(Outcome)> on_end_;
  std::function<void()> on_blocked_;
  std::function<void(Fiber&)> on_released_, on_gone_;

  MemoryBudget memory_;
  int64_t heap_bytes_ = 0;  ///< allocated by wasmtime in its slices and not freed
  uint64_t heap_charged_bytes_ = 0;
  std::atomic<uint64_t> cpu_ns_{0};
  uint64_t slice_start_ns_ = 0;
  std::atomic<bool> killed_{false};
  /// It was resumed, so at the next deadline it gets a whole tick before it must yield.
  bool resumed_ = false;
  bool yielded_ = false;
  Stage stage_ = Stage::kNew;

  Store store_;
  wasmtime_component_instance_t instance_{};
  wasmtime_component_func_t function_{};
  std::vector<wasmtime_component_val_t> arguments_;  ///< alive until the call has ended
  wasmtime_component_val_t result_{};
  wasmtime_error_t* error_ = nullptr;
  CallFuture future_;
};

}  // namespace pie::wasm
