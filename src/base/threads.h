#pragma once
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace pie {

/// Starts `count` threads that run `body`. When the system refuses one, those that run are ended by
/// `stop` and joined, and std::system_error says why.
void start_threads(std::vector<std::thread>& threads, uint32_t count,
                   const std::function<void()>& body, const std::function<void()>& stop);

}  // namespace pie
