#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/body_pipe.h"
#include "base/http.h"

namespace pie::net {

/// One request of a client, and the way to answer it. Thread-safe; nothing here blocks.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpRequestHead& head() const = 0;
  /// The request's body, whose reader the callee is. It fails when the client is gone.
  virtual const BodyPipeRef& body() const = 0;
  /// Answers; the body's bytes leave as they come, and its writer waits when the client is slow. A
  /// body that fails cuts the connection. `body` null: none. The first answer counts: later ones
  /// have their body cancelled.
  virtual void respond(HttpResponseHead head, BodyPipeRef body) = 0;
  /// Answers with `status` and a line of text, unless there is an answer.
  virtual void fail(uint16_t status, std::string text) = 0;
  /// Calls `gone` once, from a serving thread, when the client has gone away before its answer was
  /// whole (at once, if it has).
  virtual void on_gone(std::function<void()> gone) = 0;
};
/// Is called on a serving thread and must not block.
using HttpHandler = std::function<void(std::shared_ptr<HttpExchange>)>;

}  // namespace pie::net
