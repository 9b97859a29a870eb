#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/io_threads.h"
#include "net/name_lookup.h"
#include "ports/http.h"

namespace pie::net {

struct HttpClientConfig {
  std::vector<std::string> allow;        ///< patterns of host_policy.h; none: nothing is allowed
  std::string ca_file;                   ///< PEM certificates that are trusted beside the system's
  uint32_t calls_max = 1'024;            ///< at once; from the connection to the body's end
  uint32_t calls_per_user_max = 256;     ///< of them; 0 = unlimited
  uint64_t header_bytes_max = 64 << 10;  ///< of one response
  // Where a request does not say, and at most:
  uint64_t connect_ms_max = 10'000;
  uint64_t first_byte_ms_max = 300'000;
  uint64_t between_bytes_ms_max = 120'000;
  /// A response whose body its program has not read from for so long is given up.
  uint64_t unread_ms_max = 120'000;
  NameLookup::Function look_up = nullptr;  ///< null: the system's resolver
};

/// Sends HTTP/1.1 requests of programs, over TLS for https, to the hosts that the patterns allow:
/// the address that is connected to is one that was checked. Redirects are not followed, proxies
/// not used, connections not kept. `internal` has no share of the calls.
class HttpClient : public OutgoingHttp {
 public:
  /// kInvalidArgument names a pattern, or a file, that is no use.
  static Result<std::unique_ptr<HttpClient>> create(IoThreads& threads,
                                                    const HttpClientConfig& config);
};

}  // namespace pie::net
