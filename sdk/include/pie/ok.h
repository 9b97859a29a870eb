#pragma once
// `co_await ok(x)` in a task of a Result: the value of x, or the end of the task with x's error.
//
//   Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
//     Context context = co_await ok(Context::create());
//     context.fill_user("Say hello.");
//     co_return co_await ok(context.generate(Sampler::greedy(), Stop::max_len(16)));
//   }
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "pie/flush.h"
#include "pie/task.h"

namespace inferlet {
namespace loop {

/// Of a Result that is there.
template <class T>
class OkResult {
 public:
  explicit OkResult(Result<T> result) : result_(std::move(result)) {}
  bool await_ready() const { return result_.has_value(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    waiter.promise().end_with(fail(std::move(result_).error()));
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(*result_);
  }

 private:
  Result<T> result_;
};

/// Of a Result that a task gives.
template <class T>
class OkTask {
 public:
  explicit OkTask(Task<Result<T>> task) : task_(std::move(task)) {}
  OkTask(const OkTask&) = delete;
  OkTask& operator=(const OkTask&) = delete;

  bool await_ready() const { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiter) {
    waiter_ = &waiter.promise();
    end_with_ = [](Frame& task, std::string error) {
      static_cast<Promise&>(task).end_with(fail(std::move(error)));
    };
    const auto go_on = [](void* self) {
      if (static_cast<OkTask*>(self)->take()) static_cast<OkTask*>(self)->waiter_->make_ready();
    };
    return !task_.begin(go_on, this) || !take();
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(**result_);
  }

 private:
  /// Whether there is a value; after an error this object may be gone.
  bool take() {
    result_.emplace(task_.take());
    if (result_->has_value()) return true;
    end_with_(*waiter_, std::move(*result_).error());
    return false;
  }

  Task<Result<T>> task_;
  std::optional<Result<T>> result_;
  Frame* waiter_ = nullptr;
  void (*end_with_)(Frame&, std::string) = nullptr;
};

inline Task<Result<void>> computed(Flushed& flushed) { co_return co_await flushed; }

}  // namespace loop

template <class T>
loop::OkResult<T> ok(Result<T> result) {
  return loop::OkResult<T>(std::move(result));
}
template <class T>
loop::OkTask<T> ok(Task<Result<T>> task) {
  return loop::OkTask<T>(std::move(task));
}
/// All values, or the first error: of what when_all() gives.
template <class T>
loop::OkResult<std::vector<T>> ok(std::vector<Result<T>> results) {
  std::vector<T> values;
  for (Result<T>& one : results) {
    if (!one) return ok<std::vector<T>>(fail(std::move(one).error()));
    values.push_back(std::move(*one));
  }
  return ok<std::vector<T>>(std::move(values));
}
/// Waits until it is computed.
inline loop::OkTask<void> ok(Flushed&& flushed) { return ok(loop::computed(flushed)); }

}  // namespace inferlet
