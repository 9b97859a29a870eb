#pragma once
#include <coroutine>
#include <optional>
#include <utility>

#include "pie/event_loop.h"
#include "pie/model.h"
#include "pie/result.h"

namespace inferlet {

/// Ready when every earlier command of a queue is completed.
class Synchronization {
 public:
  explicit Synchronization(const Queue& queue) : handle_(abi::queue_synchronize(queue.handle())) {}
  Pollable pollable() const { return Pollable(abi::synchronization_pollable(handle_.get())); }

 private:
  OwnedHandle<abi::synchronization_drop> handle_;
};

/// What Context::flush gives: whether the tokens were handed over. `co_await` it to wait until they
/// are computed; the context outlives that.
class Flushed : public Result<void> {
 public:
  Flushed(Result<void> result, const Queue& queue)
      : Result<void>(std::move(result)), queue_(queue) {}

  bool await_ready() const { return !has_value(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    synchronization_.emplace(queue_);
    wait_.emplace(synchronization_->pollable()).begin(waiter.promise());
  }
  Result<void> await_resume() {
    wait_.reset();
    return std::move(*this);
  }

 private:
  const Queue& queue_;
  std::optional<Synchronization> synchronization_;
  std::optional<loop::Wait> wait_;
};

}  // namespace inferlet
