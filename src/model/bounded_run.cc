#include "model/bounded_run.h"

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PIE_ALLOCATIONS_ARE_BOUNDED 0  // the sanitizers bring an operator new of their own
#else
#define PIE_ALLOCATIONS_ARE_BOUNDED 1
#endif

namespace pie::model {
namespace {

enum class Refusal { kNone, kMemory, kTime, kStack, kStopped };

struct OverBudget final : std::bad_alloc {
  const char* what() const noexcept override { return "more than it may spend"; }
};

uint64_t nanoseconds(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// What the thread that has one may still allocate. That thread only.
class RunBudget {
 public:
  RunBudget(const RunBounds& bounds, std::stop_token stop)
      : bounds_(bounds),
        stop_(std::move(stop)),
        floor_(static_cast<const char*>(__builtin_frame_address(0)) - bounds.stack_bytes) {}

  /// Throws OverBudget when `size` more bytes are too much, or anything else is.
  void check(size_t size) {
    if (refusal_ == Refusal::kNone) refusal_ = look(size);
    // What is unwinding already gets what it asks for: a second exception would end the process.
    if (refusal_ != Refusal::kNone && std::uncaught_exceptions() == 0) throw OverBudget();
  }
  void add(void* memory) { used_ += static_cast<int64_t>(malloc_usable_size(memory)); }
  void remove(void* memory) { used_ -= static_cast<int64_t>(malloc_usable_size(memory)); }
  Refusal refusal() const { return refusal_; }

 private:
  Refusal look(size_t size) {
    if (static_cast<const char*>(__builtin_frame_address(0)) < floor_) return Refusal::kStack;
    if (size > bounds_.memory_bytes || used_ > static_cast<int64_t>(bounds_.memory_bytes - size))
      return Refusal::kMemory;
    constexpr size_t kLarge = 1U << 16;  // to fill it takes a while
    if (++count_ % 1024 != 0 && size < kLarge) return Refusal::kNone;
    if (stop_.stop_requested()) return Refusal::kStopped;
    if (nanoseconds(CLOCK_THREAD_CPUTIME_ID) > bounds_.cpu_ns) return Refusal::kTime;
    return Refusal::kNone;
  }

  const RunBounds bounds_;
  const std::stop_token stop_;
  const char* const floor_;  ///< the stack grows down to here
  int64_t used_ = 0;         ///< less what was freed: below 0 for memory from before
  uint64_t count_ = 0;
  Refusal refusal_ = Refusal::kNone;
};

constinit thread_local RunBudget* budget = nullptr;

/// What the thread and who waits for it share.
struct Run {
  RunBounds bounds;
  std::stop_token stop;
  std::function<void()> work;
  std::mutex mutex;
  std::condition_variable ended;
  bool is_done = false;
  Refusal refusal = Refusal::kNone;
  std::optional<std::string> thrown;
  uint64_t cpu_ns = 0;
};

void execute(Run& run) {
  RunBudget own(run.bounds, run.stop);
  std::exception_ptr thrown;
  try {
    budget = &own;
    run.work();
    budget = nullptr;
  } catch (...) {
    budget = nullptr;
    thrown = std::current_exception();
  }
  run.work = nullptr;  // what it holds may need this stack to be destroyed
  std::lock_guard lock(run.mutex);
  run.refusal = own.refusal();
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    run.thrown = e.what();
  } catch (...) {
    run.thrown = "an exception without words";
  }
  run.cpu_ns = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  run.is_done = true;
  run.ended.notify_all();
}

void* thread_main(void* argument) {
  const std::unique_ptr<std::shared_ptr<Run>> run(static_cast<std::shared_ptr<Run>*>(argument));
  execute(**run);
  return nullptr;
}

/// Room for destructors of what `memory_bytes` can nest: a level takes less stack than memory.
bool start(pthread_t& thread, const std::shared_ptr<Run>& run) {
  auto argument = std::make_unique<std::shared_ptr<Run>>(run);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, run->bounds.stack_bytes + run->bounds.memory_bytes);
  const bool is_started = pthread_create(&thread, &attributes, thread_main, argument.get()) == 0;
  pthread_attr_destroy(&attributes);
  if (is_started) static_cast<void>(argument.release());  // the thread has it
  return is_started;
}

/// Work that allocates stops at cpu_ns; unwinding it takes a moment.
constexpr uint64_t kGraceNs = 500'000'000;

/// Waits for the end. Whether it came: work that neither ends nor allocates is left behind.
bool wait(pthread_t thread, Run& run) {
  clockid_t clock = 0;
  pthread_getcpuclockid(thread, &clock);
  std::unique_lock lock(run.mutex);
  while (!run.ended.wait_for(lock, std::chrono::milliseconds(100), [&] { return run.is_done; })) {
    if (nanoseconds(clock) > run.bounds.cpu_ns + kGraceNs) return false;
  }
  return true;
}

Error refused(Refusal refusal, const RunBounds& bounds) {
  const auto exhausted = [](std::string message) {
    return Error{ErrorCode::kResourceExhausted, std::move(message)};
  };
  switch (refusal) {
    case Refusal::kMemory:
      return exhausted(fmt::format("more than {} MiB of memory", bounds.memory_bytes >> 20));
    case Refusal::kStack:
      return exhausted(fmt::format("more than {} MiB of stack", bounds.stack_bytes >> 20));
    case Refusal::kStopped: return {ErrorCode::kCancelled, "stopped"};
    default:
      return exhausted(fmt::format("more than {} ms of processor time", bounds.cpu_ns / 1'000'000));
  }
}

}  // namespace

Result<void> run_bounded(const RunBounds& bounds, std::stop_token stop, std::function<void()> work,
                         uint64_t* cpu_ns) {
  const auto run = std::make_shared<Run>();
  run->bounds = bounds;
  run->stop = std::move(stop);
  run->work = std::move(work);
  pthread_t thread = {};
  if (!start(thread, run))
    return Error{ErrorCode::kUnavailable,
                 "[thread] got none from the machine, expected one more; try again later"};
  const bool has_ended = wait(thread, *run);
  if (cpu_ns != nullptr) *cpu_ns = has_ended ? run->cpu_ns : bounds.cpu_ns + kGraceNs;
  if (!has_ended) {
    const sched_param lowest = {};
    pthread_setschedparam(thread, SCHED_IDLE, &lowest);
    pthread_detach(thread);
    return refused(Refusal::kTime, bounds);
  }
  pthread_join(thread, nullptr);
  if (run->refusal != Refusal::kNone) return refused(run->refusal, bounds);
  if (run->thrown) return Error{ErrorCode::kInternal, *run->thrown};
  return {};
}

}  // namespace pie::model

#if PIE_ALLOCATIONS_ARE_BOUNDED
// The standard lets a program replace these; the array and nothrow forms call them. A thread
// without a budget pays a look at a thread-local pointer.
void* operator new(size_t size) {
  pie::model::RunBudget* const own = pie::model::budget;
  if (own != nullptr) [[unlikely]]
    own->check(size);
  for (;;) {
    if (void* memory = std::malloc(size == 0 ? 1 : size)) {
      if (own != nullptr) [[unlikely]]
        own->add(memory);
      return memory;
    }
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

namespace {

[[gnu::noinline]] void release(void* memory) noexcept {
  if (pie::model::budget != nullptr && memory != nullptr) [[unlikely]]
    pie::model::budget->remove(memory);
  std::free(memory);
}

}  // namespace

void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
#endif
