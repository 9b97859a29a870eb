#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/http.h"
#include "net/transport.h"

namespace pie::net {

/// Why a request is not served, as its sender hears it.
struct HttpRefusal {
  uint16_t status = 400;
  std::string text;        ///< one line, without its end
  HttpFields fields = {};  ///< further fields of the response
};
/// The whole response, which ends the connection.
std::string refusal_text(const HttpRefusal& refusal);

/// Whether a line that begins with a blank belongs to the one before it.
enum class HeadFolds { kRefused, kTaken };

/// Finds the end of a message's head in bytes that come piece by piece, and what two readers could
/// take for two different heads (RFC 9112, sections 2.2 and 5).
class HeadScanner {
 public:
  explicit HeadScanner(HeadFolds folds) : folds_(folds) {}
  enum class State { kMore, kWhole, kBad };
  /// `bytes`: all that has come so far, what was there at the last call first.
  State scan(std::string_view bytes);
  /// Where the head begins, after empty lines.
  size_t begin() const { return begin_; }
  /// Where it ends, its empty line included. After kWhole.
  size_t end() const { return at_; }
  /// After kBad: "got a line that ...".
  const char* fault() const { return fault_; }

 private:
  State bad(const char* fault) {
    fault_ = fault;
    return State::kBad;
  }

  const HeadFolds folds_;
  size_t begin_ = 0, line_ = 0, at_ = 0;  ///< of the head, of the current line, of what comes next
  const char* fault_ = "";
};

/// What is wrong with how a message tells its body's length: more than one way could be read out of
/// it, or a transfer coding that is not served (RFC 9112, section 6.1). `version`: 10 or 11.
std::optional<HttpRefusal> framing_fault(const boost::beast::http::fields& fields,
                                         unsigned version);

/// What came of a head.
struct HeadRead {
  std::string text;  ///< with its empty line; "": `refusal`, or the connection failed
  std::optional<HttpRefusal> refusal;
  boost::system::error_code failed;
};

/// Reads a head of at most `bytes_max` bytes out of `buffer` and then `transport`; what follows it
/// stays in the buffer.
boost::asio::awaitable<HeadRead> read_http_head(Transport& transport,
                                                boost::beast::flat_buffer& buffer, size_t bytes_max,
                                                HeadFolds folds);

/// Answers with a refusal and reads on for a while: a connection that is closed with unread bytes
/// takes the answer with it (RFC 9112, section 9.6). The caller bounds the time.
boost::asio::awaitable<void> send_refusal(Transport& transport, HttpRefusal refusal);

}  // namespace pie::net
