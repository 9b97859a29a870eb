#pragma once
#include <memory>
#include <optional>
#include <utility>

#include "base/result.h"
#include "client/core.h"
#include "client/instance.h"

namespace pie::client {

/// The error of a call that failed or was refused, if it was.
inline std::optional<Error> failure(Result<protocol::Reply>& reply,
                                    ErrorCode otherwise = ErrorCode::kInvalidArgument) {
  if (!reply.ok()) return std::move(reply).error();
  if (!reply->successful) return refusal(std::move(reply->text), otherwise);
  return std::nullopt;
}

/// Gives a call to the client's thread; `task` is called there with (Core&, CallId, done).
template <class T, class Task>
CallId start(const std::shared_ptr<Core>& core, Done<T> done, Task task) {
  // The core outlives its thread, which runs the task.
  auto shared = std::make_shared<Done<T>>(std::move(done));
  return core->start([core = core.get(), shared, task = std::move(task)](
                         CallId call) mutable { task(*core, call, std::move(*shared)); },
                     [shared](Error error) { (*shared)(std::move(error)); });
}

}  // namespace pie::client
