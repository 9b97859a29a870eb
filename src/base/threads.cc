#include "base/threads.h"

#include <system_error>

namespace pie {

void start_threads(std::vector<std::thread>& threads, uint32_t count,
                   const std::function<void()>& body, const std::function<void()>& stop) {
  try {
    for (uint32_t i = 0; i < count; ++i) threads.emplace_back(body);
  } catch (const std::system_error&) {
    stop();
    for (auto& thread : threads) thread.join();
    threads.clear();
    throw;
  }
}

}  // namespace pie
