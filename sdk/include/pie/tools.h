#pragma once
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "pie/conversation.h"
#include "pie/describe.h"
#include "pie/task.h"

namespace inferlet {
namespace described {

/// The argument of a function with one, or void.
template <class F>
struct ArgumentOf : ArgumentOf<decltype(&F::operator())> {};
template <class R, class A>
struct ArgumentOf<R (*)(A)> : std::type_identity<std::remove_cvref_t<A>> {};
template <class R>
struct ArgumentOf<R (*)()> : std::type_identity<void> {};
template <class R, class C, class A>
struct ArgumentOf<R (C::*)(A) const> : std::type_identity<std::remove_cvref_t<A>> {};
template <class R, class C>
struct ArgumentOf<R (C::*)() const> : std::type_identity<void> {};

/// What a tool gave, as the model reads it: a string as it is, everything else as JSON.
template <class T>
Result<std::string> answer(T value) {
  if constexpr (loop::kIsResult<T>) {
    if (!value) return fail(std::move(value).error());
    if constexpr (std::is_void_v<typename T::value_type>) {
      return std::string("done");
    } else {
      return answer(std::move(*value));
    }
  } else if constexpr (std::convertible_to<T, std::string>) {
    return std::string(std::move(value));
  } else {
    return to_json(value).text();
  }
}
template <class T>
Task<Result<std::string>> answer(Task<T> task) {
  co_return answer(co_await task);
}

/// Runs a tool. The function is this coroutine's own, so that what it captures stays.
template <class F>
Task<Result<std::string>> run_tool(F function, std::string name, Json arguments) {
  using Argument = typename ArgumentOf<F>::type;
  const auto finish = [](auto result) -> Task<Result<std::string>> {
    if constexpr (requires { result.wait(); }) {
      co_return co_await answer(std::move(result));
    } else {
      co_return answer(std::move(result));
    }
  };
  if constexpr (std::is_void_v<Argument>) {
    co_return co_await finish(function());
  } else {
    Result<Argument> argument = from_json<Argument>(arguments, name);
    if (!argument) co_return fail(std::move(argument).error());
    co_return co_await finish(function(std::move(*argument)));
  }
}

}  // namespace described

/// Functions that a model may call. Each takes one described struct (pie/describe.h) or nothing,
/// and returns text or a described value, or a Result or Task of one.
class Tools {
 public:
  template <class F>
  Tools& add(std::string name, std::string description, F function) {
    using Argument = typename described::ArgumentOf<F>::type;
    Json schema;
    if constexpr (std::is_void_v<Argument>) {
      schema = Json::Object{{"type", "object"}, {"properties", Json::Object()}};
    } else {
      schema = schema_of<Argument>();
    }
    std::string copy = name;
    put({std::move(name), std::move(description), std::move(schema),
         [function = std::move(function), name = std::move(copy)](Json arguments) {
           return described::run_tool(function, name, std::move(arguments));
         }});
    return *this;
  }

  /// The tools as chat templates take them: an array of {"type": "function", "function": {"name",
  /// "description", "parameters"}}.
  Json schema() const;
  /// The same for a Conversation.
  std::vector<inferlet::Tool> list() const;
  /// Calls one with the text of its arguments (a JSON object; none for ""). The errors are for the
  /// model to read: what it got wrong, and what is expected.
  Task<Result<std::string>> call(std::string name, std::string arguments) const;
  /// A call as models write it: {"name": ..., "arguments": {...}}.
  Task<Result<std::string>> call(std::string text) const;
  /// Calls what an answer asks for, all at once, and gives what the model is told: a
  /// Message::result for each, in order; what went wrong is a result too. The calls are the task's
  /// own.
  Task<std::vector<Message>> answer(std::vector<ToolCall> calls) const;

 private:
  struct Tool {
    std::string name, description;
    Json parameters;
    std::function<Task<Result<std::string>>(Json)> run;
  };
  void put(Tool tool);
  Task<Result<std::string>> run(std::string_view name, Json arguments) const;

  std::vector<Tool> tools_;
};

}  // namespace inferlet
