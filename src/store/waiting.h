#pragma once
#include <functional>
#include <future>
#include <utility>

namespace pie::store {

/// For tests: what `ask` is answered by callback.
template <class Answer>
Answer wait(const std::function<void(std::function<void(Answer)>)>& ask) {
  std::promise<Answer> promise;
  ask([&promise](Answer answer) { promise.set_value(std::move(answer)); });
  return promise.get_future().get();
}

}  // namespace pie::store
