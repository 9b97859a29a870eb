#include "wasm/runtime.h"

#include <fmt/format.h>

#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "wasm/compile_cache.h"
#include "wasm/component.h"
#include "wasm/engine.h"
#include "wasm/fiber.h"
#include "wasm/scheduler.h"
#include "wasm/ticker.h"
#include "wasm/timer_queue.h"

namespace pie::wasm {
namespace {

/// A guest is pre-empted after one to two of these.
constexpr uint32_t kTickMs = 5;

/// Mappings that the kernel keeps for one instance: its memory and its stack, each with a guard.
constexpr uint64_t kMappingsPerInstance = 4;
/// Mappings left for everything else in the process.
constexpr uint64_t kMappingsReserve = 4096;

/// As many instances as were asked for, or as the kernel has mappings for.
uint32_t instances_possible(uint32_t wanted) {
  uint64_t mappings_max = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> mappings_max;
  if (mappings_max <= kMappingsReserve) return wanted;
  const uint64_t possible = (mappings_max - kMappingsReserve) / kMappingsPerInstance;
  if (possible >= wanted) return wanted;
  log::warning("{} instances at most, not {}: vm.max_map_count is {}; raise it with sysctl",
               possible, wanted, mappings_max);
  return static_cast<uint32_t>(possible);
}

class RuntimeImpl final : public Runtime {
 public:
  RuntimeImpl(const RuntimeConfig& config, const Registry& registry, std::shared_ptr<Engine> engine)
      : instances_max_(instances_possible(config.instances_max)),
        registry_(registry),
        engine_(std::move(engine)),
        cache_(engine_, config.cache_folder, config.cache_bytes_max),
        ticker_(kTickMs, [this] { engine_->raise_epoch(); }, [this] { return busy_workers(); }) {
    scheduler_ = std::make_shared<Scheduler>(
        config.worker_count,
        Scheduler::Hooks{[this] { engine_->raise_epoch(); }, [this] { ticker_.wake(); }});
    scheduler_ready_.store(scheduler_.get());
  }

  ~RuntimeImpl() override {
    std::vector<std::shared_ptr<Fiber>> running;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const auto& [key, fiber] : fibers_) running.push_back(fiber);
    }
    for (const auto& fiber : running) fiber->kill();
    running.clear();
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return fibers_.empty(); });
    }
    scheduler_->stop();
    scheduler_ready_.store(nullptr);
  }

  Result<std::shared_ptr<const Component>> compile(std::span<const uint8_t> wasm,
                                                   const std::string& hash) override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !compiling_.contains(hash); });
      if (auto known = components_[hash].lock()) return std::shared_ptr<const Component>(known);
      compiling_.insert(hash);
    }
    auto linked = compile_now(wasm, hash);
    {
      std::lock_guard lock(mutex_);
      compiling_.erase(hash);
      std::erase_if(components_, [](const auto& entry) { return entry.second.expired(); });
      if (linked.ok()) components_[hash] = *linked;
    }
    changed_.notify_all();
    if (!linked.ok()) return std::move(linked).error();
    return std::shared_ptr<const Component>(std::move(*linked));
  }

  Result<std::shared_ptr<Instance>> launch(InstanceSpec spec) override {
    const auto* component = dynamic_cast<const LinkedComponent*>(spec.component.get());
    PIE_CHECK(component != nullptr);
    if (!component->entry_export(spec.entry))
      return Error{ErrorCode::kFailedPrecondition,
                   spec.entry == Entry::kRun
                       ? "[launch] got a program without inferlet:core/run, expected one; it can "
                         "only serve HTTP (launch_server_instance)"
                       : "[launch] got a program without wasi:http/incoming-handler, expected one "
                         "that serves HTTP; launch it as an instance"};
    std::shared_ptr<Fiber> fiber;
    {
      std::lock_guard lock(mutex_);
      if (stopping_)
        return Error{ErrorCode::kUnavailable, "[launch] the server is stopping; try another"};
      if (live_count_ >= instances_max_)
        return Error{ErrorCode::kResourceExhausted,
                     fmt::format("[launch] instances: used {}, allowed {}; try again when one has "
                                 "ended, or raise the limit",
                                 live_count_, instances_max_)};
      ++live_count_;
      fiber = std::make_shared<Fiber>(
          scheduler_, std::move(spec), [this](Fiber&) { release_slot(); },
          [this](Fiber& gone) { forget(gone); });
      fibers_.emplace(fiber.get(), fiber);
    }
    fiber->start();
    return std::shared_ptr<Instance>(std::move(fiber));
  }

  EventRef timer(uint64_t ns) override { return timers_.after(ns); }

 private:
  Result<std::shared_ptr<const LinkedComponent>> compile_now(std::span<const uint8_t> wasm,
                                                             const std::string& hash) {
    PIE_TRY_ASSIGN(RawComponent raw, cache_.load_or_compile(wasm, hash));
    return LinkedComponent::link(engine_, std::move(raw), hash, registry_);
  }

  bool busy_workers() const {
    const Scheduler* scheduler = scheduler_ready_.load();
    return scheduler && scheduler->busy();
  }

  void release_slot() {
    std::lock_guard lock(mutex_);
    --live_count_;
  }

  void forget(Fiber& fiber) {
    std::lock_guard lock(mutex_);
    fibers_.erase(&fiber);
    changed_.notify_all();
  }

  const uint32_t instances_max_;
  const Registry& registry_;
  const std::shared_ptr<Engine> engine_;
  CompileCache cache_;
  TimerQueue timers_;
  std::atomic<Scheduler*> scheduler_ready_{nullptr};
  std::shared_ptr<Scheduler> scheduler_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  uint32_t live_count_ = 0;
  std::unordered_map<Fiber*, std::shared_ptr<Fiber>> fibers_;
  std::set<std::string> compiling_;
  std::map<std::string, std::weak_ptr<const LinkedComponent>> components_;

  Ticker ticker_;
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::create(const RuntimeConfig& config,
                                                 const Registry& registry) {
  PIE_TRY_ASSIGN(std::shared_ptr<Engine> engine, Engine::create());
  return std::unique_ptr<Runtime>(
      std::make_unique<RuntimeImpl>(config, registry, std::move(engine)));
}

}  // namespace pie::wasm
