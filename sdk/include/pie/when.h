#pragma once
// Several tasks at once. They begin in order, and each runs until it waits before the next begins:
// the steps of many contexts are all with the engine before the program waits, and run in one
// batch.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "pie/clock.h"
#include "pie/task.h"

namespace inferlet {
namespace loop {

/// What a task of T gives where a type is needed.
template <class T>
using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
Value<T> take(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    task.take();
    return {};
  } else {
    return task.take();
  }
}

inline Task<void> after(std::chrono::nanoseconds limit) { co_await sleep(limit); }

/// Awaits until `wanted` of the tasks that it began have ended.
class Gathering {
 public:
  explicit Gathering(size_t wanted) : wanted_(wanted) {}
  template <class T>
  void begin(Task<T>& task) {
    if (task.begin(&Gathering::count, this)) count(this);
  }
  bool is_complete() const { return ended_ >= wanted_; }

  bool await_ready() const { return is_complete(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    waiter_ = &waiter.promise();
  }
  void await_resume() const {}

 private:
  static void count(void* of) {
    auto& self = *static_cast<Gathering*>(of);
    if (++self.ended_ >= self.wanted_ && self.waiter_ != nullptr) self.waiter_->make_ready();
  }

  size_t wanted_;
  size_t ended_ = 0;
  Frame* waiter_ = nullptr;
};

}  // namespace loop

/// All values, in the order of the tasks.
template <class T>
Task<std::vector<loop::Value<T>>> when_all(std::vector<Task<T>> tasks) {
  loop::Gathering all(tasks.size());
  for (Task<T>& task : tasks) all.begin(task);
  co_await all;
  std::vector<loop::Value<T>> values;
  values.reserve(tasks.size());
  for (Task<T>& task : tasks) values.push_back(loop::take(task));
  co_return values;
}

/// All values, of types of their own; std::monostate for a Task<void>.
template <class... T>
Task<std::tuple<loop::Value<T>...>> when_all(Task<T>... tasks) {
  loop::Gathering all(sizeof...(T));
  (all.begin(tasks), ...);
  co_await all;
  co_return std::tuple<loop::Value<T>...>(loop::take(tasks)...);
}

template <class T>
struct First {
  size_t index;  ///< of the task
  T value;
};

/// The value of the task that ends first; the others are dropped where they are. There must be one.
template <class T>
Task<First<loop::Value<T>>> when_any(std::vector<Task<T>> tasks) {
  loop::Gathering any(1);
  for (Task<T>& task : tasks) {
    if (!any.is_complete()) any.begin(task);
  }
  co_await any;
  size_t first = 0;
  while (!tasks[first].is_done()) ++first;
  auto value = loop::take(tasks[first]);
  tasks.clear();
  co_return First<loop::Value<T>>{first, std::move(value)};
}

/// The same for tasks of several types: the variant's index() is the task's.
template <class... T>
  requires(sizeof...(T) > 0)
Task<std::variant<loop::Value<T>...>> when_any(Task<T>... tasks) {
  using Values = std::variant<loop::Value<T>...>;
  loop::Gathering any(1);
  ((any.is_complete() ? void() : any.begin(tasks)), ...);
  co_await any;
  std::optional<Values> value;
  [&]<size_t... I>(std::index_sequence<I...>) {
    ((value || !tasks.is_done() ? void()
                                : void(value.emplace(std::in_place_index<I>, loop::take(tasks)))),
     ...);
  }(std::index_sequence_for<T...>());
  // The losers go here and not with this frame, which lives as long as whoever awaited it likes.
  (void(Task<T>(std::move(tasks))), ...);
  co_return std::move(*value);
}

/// The task's value, or none when it takes longer; then it is dropped where it is.
template <class T>
Task<std::optional<loop::Value<T>>> with_timeout(Task<T> task, std::chrono::nanoseconds limit) {
  auto first = co_await when_any(std::move(task), loop::after(limit));
  if (first.index() == 1) co_return std::nullopt;
  co_return std::get<0>(std::move(first));
}

/// A task that runs beside the one that began it. Destroyed, it ends where it is; `co_await` it or
/// wait() for its value; detach() lets it run on until the program ends.
template <class T>
class [[nodiscard]] Running {
 public:
  explicit Running(Task<T> task) : state_(std::make_unique<State>(std::move(task))) {
    if (state_->task.begin(&State::end, state_.get())) State::end(state_.get());
  }
  bool is_done() const { return state_->task.is_done(); }
  T wait() {
    loop::run_until([](const void* task) { return static_cast<const Task<T>*>(task)->is_done(); },
                    &state_->task);
    return state_->task.take();
  }
  void detach() {
    if (!is_done()) state_.release()->is_detached = true;
  }

  bool await_ready() const { return is_done(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    state_->waiter = &waiter.promise();
  }
  T await_resume() { return state_->task.take(); }

 private:
  struct State {
    explicit State(Task<T> work) : task(std::move(work)) {}
    static void end(void* of) {
      auto* self = static_cast<State*>(of);
      if (self->is_detached) {
        delete self;
      } else if (self->waiter != nullptr) {
        self->waiter->make_ready();
      }
    }
    Task<T> task;
    loop::Frame* waiter = nullptr;
    bool is_detached = false;
  };

  std::unique_ptr<State> state_;
};

/// Begins a task now.
template <class T>
Running<T> spawn(Task<T> task) {
  return Running<T>(std::move(task));
}

}  // namespace inferlet
