#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "base/http_call.h"

namespace pie {

/// A request that an instance serves, and the way to answer it. Called from worker threads; nothing
/// here may block.
class IncomingExchange {
 public:
  virtual ~IncomingExchange() = default;
  virtual const HttpRequestHead& head() const = 0;
  /// The request's body, whose reader the instance is.
  virtual const BodyPipeRef& body() const = 0;
  /// The answer, once. `body` is null when there is none.
  virtual void respond(HttpResponseHead head, BodyPipeRef body) = 0;
  /// The program says that it failed, instead of an answer.
  virtual void respond_failure(HttpFailure failure) = 0;
};

/// Requests of programs to others. Thread-safe; nothing here may block.
class OutgoingHttp {
 public:
  virtual ~OutgoingHttp() = default;
  /// Why this request is not even tried (HTTP-request-denied), if it is not.
  virtual std::optional<HttpFailure> refusal(const HttpRequestHead& head) const = 0;
  /// Sends the request. `done` comes once, from any thread, unless what is returned was destroyed
  /// before: that cancels. After `done` the response's body is cancelled by its pipe.
  virtual std::shared_ptr<void> start(HttpCallRequest request,
                                      std::function<void(HttpCallAnswer)> done) = 0;
};

}  // namespace pie
