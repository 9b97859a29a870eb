#include "grammar/deep_stack.h"

#include <malloc.h>
#include <pthread.h>

#include <ctime>

namespace pie::grammar {
namespace {

constexpr size_t kStackBytes = 512ULL << 20;  ///< of address space; what is used of it is far less

constexpr uint64_t kLongNs = 50'000'000;  ///< what takes so long may have taken much memory

struct DeepRun {
  const std::function<void()>& work;
  uint64_t cpu_ns = 0;
};

void* run(void* argument) {
  DeepRun& one = *static_cast<DeepRun*>(argument);
  one.work();
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  one.cpu_ns =
      static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  return nullptr;
}

}  // namespace

Result<void> run_on_deep_stack(const std::function<void()>& work, uint64_t* cpu_ns) {
  DeepRun one{work};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread = {};
  const int refused = pthread_create(&thread, &attributes, run, &one);
  pthread_attr_destroy(&attributes);
  if (refused != 0)
    return Error{ErrorCode::kUnavailable,
                 "[grammar] got no thread from the machine, expected one; try again later"};
  pthread_join(thread, nullptr);
  if (cpu_ns != nullptr) *cpu_ns += one.cpu_ns;
  // Its heap goes to the threads that follow, and keeps what the longest of them took.
  if (one.cpu_ns > kLongNs) malloc_trim(0);
  return {};
}

}  // namespace pie::grammar
