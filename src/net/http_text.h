#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/body_pipe.h"
#include "base/http.h"

namespace pie::net {

/// How the length of a body is told.
enum class Framing {
  kNone,     ///< there is no body, and nothing says so
  kLength,   ///< Content-Length
  kChunked,  ///< Transfer-Encoding: chunked
  kClose,    ///< the connection's end
};

/// What becomes of the connection after a response.
enum class Persistence { kKeepAlive, kClose };

/// The head of a response as it goes over the wire, the empty line included. Content-Length among
/// the fields is left out: `framing` and `length` say it.
std::string response_text(const HttpResponseHead& head, Framing framing,
                          std::optional<uint64_t> length, Persistence persistence);
/// The head of a request, likewise, with its Host field.
std::string request_text(const HttpRequestHead& head, Framing framing,
                         std::optional<uint64_t> length);
/// What of a body goes over the wire next.
struct BodyText {
  enum class State {
    kText,
    kNothingYet,  ///< BodyPipe::on_readable() tells when
    kLast,        ///< with the last chunk and the trailers, where there are chunks
    kFailed,
  };
  State state = State::kText;
  std::string text;
};
/// Takes it out of the pipe. Chunks: RFC 9112, section 7.1.
BodyText take_body_text(BodyPipe& body, Framing framing);

}  // namespace pie::net
