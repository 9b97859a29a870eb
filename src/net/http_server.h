#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/body_pipe.h"
#include "base/http.h"
#include "base/result.h"
#include "net/io_threads.h"

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

struct HttpServerConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 0;                      ///< 0 = a free one
  uint32_t connections_max = 256;         ///< more wait in the kernel's queue
  uint64_t header_bytes_max = 32 << 10;   ///< of one request; more is answered with 431
  uint64_t body_bytes_max = 64ULL << 20;  ///< of one request; more is answered with 413
  uint64_t header_ms_max = 10'000;        ///< from the first byte of a header to its last
  uint64_t idle_ms_max = 60'000;          ///< between requests
  uint64_t stall_ms_max = 60'000;         ///< without a byte of body, either way
};

/// Serves HTTP/1.0 and 1.1 without TLS on threads that it shares. Each connection has one request
/// at a time; a slow reader and a slow writer hold up nobody else.
class HttpServer {
 public:
  using Handler = std::function<void(std::shared_ptr<HttpExchange>)>;
  /// Binds and listens, and starts serving. `handler` is called on a serving thread and must not
  /// block. kUnavailable with the system's reason when the address can't be had.
  static Result<std::shared_ptr<HttpServer>> listen(IoThreads& threads,
                                                    const HttpServerConfig& config,
                                                    Handler handler);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  /// Stops accepting and cuts every connection; `done` comes once, from a serving thread, when the
  /// port is free and no handler will be called any more.
  virtual void stop(std::function<void()> done) = 0;
};

}  // namespace pie::net
