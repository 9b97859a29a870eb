#pragma once
#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "pie/event_loop.h"
#include "pie/result.h"

namespace inferlet {

template <class T = void>
class Task;

namespace loop {

template <class T>
constexpr bool kIsResult = false;
template <class T>
constexpr bool kIsResult<Result<T>> = true;

/// What the promises of all tasks have.
class PromiseBase : public Frame {
 public:
  using Frame::Frame;
  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      self.promise().end();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { __builtin_trap(); }
  /// Called once, when the task has ended; it may destroy the task.
  void then(void (*on_done)(void*), void* argument) {
    on_done_ = on_done;
    argument_ = argument;
  }
  bool has_ended() const { return has_ended_; }

 protected:
  void end() {
    has_ended_ = true;
    if (on_done_ != nullptr) on_done_(argument_);
  }

 private:
  void (*on_done_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool has_ended_ = false;
};

template <class T>
class Promise : public PromiseBase {
 public:
  Promise() : PromiseBase(std::coroutine_handle<Promise>::from_promise(*this)) {}
  Task<T> get_return_object();
  template <class From = T>
    requires std::is_convertible_v<From&&, T>
  void return_value(From&& value) {
    value_.emplace(std::forward<From>(value));
  }
  /// Ends where it is, suspended, with this error; the task may be gone afterwards.
  void end_with(std::unexpected<std::string> error)
    requires kIsResult<T>
  {
    value_.emplace(std::move(error));
    end();
  }
  T& value() { return *value_; }
  T take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  Promise() : PromiseBase(std::coroutine_handle<Promise>::from_promise(*this)) {}
  Task<void> get_return_object();
  void return_void() const {}
  void take() const {}
};

}  // namespace loop

/// Work that has not begun: `co_await` it in a coroutine that returns a Task, or, outside of one,
/// wait() for it. Dropped, it is never done, or done no further.
///
/// A task of a Result is used like the Result itself where nothing is awaited: looking into it
/// waits. While one waits by wait() other tasks go on.
template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = loop::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    Task moved(std::move(other));
    std::swap(handle_, moved.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  /// Runs until it has its value, and gives that.
  T wait() {
    finish();
    return handle_.promise().take();
  }
  /// The same, where a value is expected.
  operator T() &&
    requires(!std::is_void_v<T>)
  {
    return wait();
  }

  explicit operator bool() const
    requires loop::kIsResult<T>
  {
    return finish().has_value();
  }
  auto& operator*() const
    requires loop::kIsResult<T>
  {
    return *finish();
  }
  auto* operator->() const
    requires loop::kIsResult<T>
  {
    return &*finish();
  }
  auto& error() const
    requires loop::kIsResult<T>
  {
    return finish().error();
  }

  class Awaiter;
  Awaiter operator co_await() const;

  // For those who put tasks together (pie/when.h).

  bool is_done() const { return handle_.promise().has_ended(); }
  /// Lets it run as far as it gets; `on_done` is called when it ends later than that.
  bool begin(void (*on_done)(void*), void* argument) {
    handle_.resume();
    if (handle_.promise().has_ended()) return true;
    handle_.promise().then(on_done, argument);
    return false;
  }
  T take() { return handle_.promise().take(); }

 private:
  decltype(auto) finish() const {
    if (!handle_.promise().has_ended()) {
      if (!has_begun_) handle_.promise().make_ready();
      has_begun_ = true;
      loop::run_until(
          [](const void* handle) {
            return static_cast<const Handle*>(handle)->promise().has_ended();
          },
          &handle_);
    }
    if constexpr (!std::is_void_v<T>) return (handle_.promise().value());
  }

  Handle handle_;
  mutable bool has_begun_ = false;
};

template <class T>
class Task<T>::Awaiter {
 public:
  explicit Awaiter(Handle task) : task_(task) {}
  Awaiter(const Awaiter&) = delete;
  Awaiter& operator=(const Awaiter&) = delete;
  ~Awaiter() {
    if (is_waiting_) task_.promise().then(nullptr, nullptr);
  }
  bool await_ready() const { return task_.promise().has_ended(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiter) {
    task_.resume();
    if (task_.promise().has_ended()) return false;
    loop::Frame& frame = waiter.promise();
    task_.promise().then([](void* of) { static_cast<loop::Frame*>(of)->make_ready(); }, &frame);
    is_waiting_ = true;
    return true;
  }
  T await_resume() {
    is_waiting_ = false;
    return task_.promise().take();
  }

 private:
  Handle task_;
  bool is_waiting_ = false;
};

template <class T>
typename Task<T>::Awaiter Task<T>::operator co_await() const {
  return Awaiter(handle_);
}

template <class T>
Task<T> loop::Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> loop::Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

}  // namespace inferlet
