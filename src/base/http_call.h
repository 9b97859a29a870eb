#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/body_pipe.h"
#include "base/http.h"

namespace pie {

/// A request that is to be sent to somebody else's server.
struct HttpCallRequest {
  std::string user;  ///< whose share it counts in; "": of nobody's
  HttpRequestHead head;
  BodyPipeRef body;                       ///< null: none
  std::optional<uint64_t> body_bytes;     ///< its length, where it is known
  uint64_t connect_timeout_ns = 0;        ///< 0: the caller does not care
  uint64_t first_byte_timeout_ns = 0;     ///< of the response
  uint64_t between_bytes_timeout_ns = 0;  ///< of the response
};

/// How it went: a failure, or the response's head and, on its way, the body.
struct HttpCallAnswer {
  std::optional<HttpFailure> failure;
  HttpResponseHead head;
  BodyPipeRef body;  ///< null: failed
};

}  // namespace pie
