#include "server/work_pool.h"

#include <exception>
#include <utility>

#include "base/log.h"

namespace pie::server {

WorkPool::WorkPool(uint32_t thread_count) {
  for (uint32_t i = 0; i < thread_count; ++i) threads_.emplace_back([this] { run(); });
}

WorkPool::~WorkPool() { stop(Rest::kFinish); }

bool WorkPool::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
  return true;
}

void WorkPool::stop(Rest rest) {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (rest == Rest::kDrop) dropped.swap(tasks_);
  }
  changed_.notify_all();
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
}

void WorkPool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopped_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    try {
      task();
    } catch (const std::exception& failure) {  // third-party code below; the task's caller waits
      log::error("a task ended with: {}", failure.what());
    }
    task = nullptr;
    lock.lock();
  }
}

}  // namespace pie::server
