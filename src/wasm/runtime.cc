#include "wasm/runtime.h"

#include <fmt/format.h>

#include <condition_variable>
#include <fstream>
#include <limits>
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
#include "wasm/fiber.h"
#include "wasm/fiber_scheduler.h"
#include "wasm/ticker.h"
#include "wasm/timer_queue.h"
#include "wasm/wasmtime_engine.h"

namespace pie::wasm {
namespace {

/// A guest is pre-empted after one to two of these.
constexpr uint32_t kTickMs = 5;

/// Mappings of the compiled code of one component.
constexpr uint64_t kMappingsPerComponent = 4;
/// Mappings left for everything else in the process.
constexpr uint64_t kMappingsReserve = 4096;
/// Address space for the memories of all instances: of the 128 TiB that a process has, the rest is
/// for models and everything else.
constexpr uint64_t kAddressBytesMax = 112ULL << 40;

/// What the memories, stacks and tables of all instances may take of this process's mappings.
uint64_t read_mappings_max() {
  uint64_t mappings_max = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> mappings_max;
  if (mappings_max <= kMappingsReserve) return std::numeric_limits<uint64_t>::max();
  return mappings_max - kMappingsReserve;
}

class RuntimeImpl final : public Runtime {
 public:
  RuntimeImpl(const RuntimeConfig& config, const HostFunctions& functions,
              std::shared_ptr<WasmtimeEngine> engine)
      : instances_max_(config.instances_max),
        mappings_max_(config.mappings_max > 0 ? config.mappings_max : read_mappings_max()),
        functions_(functions),
        engine_(std::move(engine)),
        cache_(engine_, config.cache_folder, config.cache_bytes_max, config.installed_folder),
        ticker_(kTickMs, [this] { engine_->raise_epoch(); }, [this] { return busy_workers(); }) {
    scheduler_ = std::make_shared<FiberScheduler>(
        config.worker_count, FiberScheduler::Hooks{[engine = engine_] { engine->raise_epoch(); },
                                                   [this] { ticker_.wake(); }});
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
    const Compiling compiling(*this, hash);
    PIE_TRY_ASSIGN(std::shared_ptr<const LinkedComponent> linked, compile_now(wasm, hash));
    const std::lock_guard lock(mutex_);
    std::erase_if(components_, [](const auto& entry) { return entry.second.expired(); });
    components_[hash] = linked;
    return std::shared_ptr<const Component>(std::move(linked));
  }

  Result<std::shared_ptr<GuestInstance>> launch(InstanceSpec spec) override {
    const auto* component = dynamic_cast<const LinkedComponent*>(spec.component.get());
    PIE_CHECK(component != nullptr);
    if (!component->entry_export(spec.entry))
      return Error{ErrorCode::kFailedPrecondition,
                   spec.entry == EntryPoint::kRun
                       ? "[launch] got a program without inferlet:core/run, expected one; it can "
                         "only serve HTTP (launch_server_instance)"
                       : "[launch] got a program without wasi:http/incoming-handler, expected one "
                         "that serves HTTP; launch it as an instance"};
    std::shared_ptr<Fiber> fiber;
    {
      std::lock_guard lock(mutex_);
      if (stopping_)
        return Error{ErrorCode::kUnavailable, "[launch] the server is stopping; try another"};
      PIE_TRY(take_slot(component->needs()));
      fiber = std::make_shared<Fiber>(
          scheduler_, std::move(spec),
          [this, needs = component->needs()](Fiber&) { release_slot(needs); },
          [this](Fiber& gone) { forget(gone); });
      fibers_.emplace(fiber.get(), fiber);
    }
    fiber->start();
    return std::shared_ptr<GuestInstance>(std::move(fiber));
  }

  ReadinessRef timer(uint64_t ns) override { return timers_.after(ns); }

 private:
  /// A program is being compiled while it lives, however that ends: others wait for it.
  class Compiling {
   public:
    Compiling(RuntimeImpl& runtime, const std::string& hash) : runtime_(runtime), hash_(hash) {}
    ~Compiling() {
      const std::lock_guard lock(runtime_.mutex_);
      runtime_.compiling_.erase(hash_);
      runtime_.changed_.notify_all();
    }
    Compiling(const Compiling&) = delete;
    Compiling& operator=(const Compiling&) = delete;

   private:
    RuntimeImpl& runtime_;
    const std::string& hash_;
  };

  Result<std::shared_ptr<const LinkedComponent>> compile_now(std::span<const uint8_t> wasm,
                                                             const std::string& hash) {
    PIE_TRY_ASSIGN(CompileCache::Compiled compiled, cache_.load_or_compile(wasm, hash));
    PIE_TRY_ASSIGN(auto linked,
                   LinkedComponent::link(engine_, std::move(compiled.component), hash, functions_));
    if (!compiled.is_new) return linked;
    RawComponent kept = cache_.keep(*linked->raw(), hash);
    if (!kept) return linked;
    return LinkedComponent::link(engine_, std::move(kept), hash, functions_);
  }

  bool busy_workers() const {
    const FiberScheduler* scheduler = scheduler_ready_.load();
    return scheduler && scheduler->busy();
  }

  /// Counts an instance with such needs among those that live. The lock is held.
  Result<void> take_slot(const Needs& needs) {
    PIE_TRY(check_room("instances", live_count_, 1, instances_max_, "raise the limit"));
    const uint64_t code_mappings = kMappingsPerComponent * components_.size();
    PIE_TRY(check_room("memory mappings of instances and programs", live_mappings_ + code_mappings,
                       needs.mappings(), mappings_max_, "raise vm.max_map_count with sysctl"));
    PIE_TRY(check_room("address space of instances in bytes", live_address_bytes_,
                       needs.address_bytes(), kAddressBytesMax,
                       "launch programs with fewer linear memories"));
    ++live_count_;
    live_mappings_ += needs.mappings();
    live_address_bytes_ += needs.address_bytes();
    return {};
  }
  static Result<void> check_room(const char* what, uint64_t used, uint64_t more, uint64_t allowed,
                                 const char* remedy) {
    if (more <= allowed && used <= allowed - more) return {};
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[launch] {}: used {} and {} more asked for, allowed {}; try again "
                             "when one has ended, or {}",
                             what, used, more, allowed, remedy)};
  }

  void release_slot(const Needs& needs) {
    std::lock_guard lock(mutex_);
    --live_count_;
    live_mappings_ -= needs.mappings();
    live_address_bytes_ -= needs.address_bytes();
  }

  void forget(Fiber& fiber) {
    std::lock_guard lock(mutex_);
    fibers_.erase(&fiber);
    changed_.notify_all();
  }

  const uint32_t instances_max_;
  const uint64_t mappings_max_;
  const HostFunctions& functions_;
  const std::shared_ptr<WasmtimeEngine> engine_;
  CompileCache cache_;
  TimerQueue timers_;
  std::atomic<FiberScheduler*> scheduler_ready_{nullptr};
  std::shared_ptr<FiberScheduler> scheduler_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  uint32_t live_count_ = 0;
  uint64_t live_mappings_ = 0, live_address_bytes_ = 0;
  std::unordered_map<Fiber*, std::shared_ptr<Fiber>> fibers_;
  std::set<std::string> compiling_;
  std::map<std::string, std::weak_ptr<const LinkedComponent>> components_;

  Ticker ticker_;
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::create(const RuntimeConfig& config,
                                                 const HostFunctions& functions) {
  PIE_TRY_ASSIGN(std::shared_ptr<WasmtimeEngine> engine, WasmtimeEngine::create());
  return std::unique_ptr<Runtime>(
      std::make_unique<RuntimeImpl>(config, functions, std::move(engine)));
}

Result<std::filesystem::path> compile_into(const std::filesystem::path& folder,
                                           uint64_t folder_bytes_max, std::span<const uint8_t> wasm,
                                           const std::string& hash) {
  PIE_TRY_ASSIGN(std::shared_ptr<const WasmtimeEngine> engine, WasmtimeEngine::create());
  CompileCache cache(std::move(engine), folder, folder_bytes_max);
  PIE_TRY_ASSIGN(const CompileCache::Compiled compiled, cache.load_or_compile(wasm, hash));
  if (compiled.is_new && !cache.keep(*compiled.component, hash))
    return Error{ErrorCode::kUnavailable, "[compile] got no compiled form in " + folder.string() +
                                              ", expected a folder that can be written"};
  return cache.file_of(hash);
}

}  // namespace pie::wasm
