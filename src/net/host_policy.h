#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "net/ip_address.h"

namespace pie::net {

/// Where a request wants to go.
struct HttpDestination {
  std::string scheme;  ///< "http" or "https"
  std::string host;    ///< a name in lower case, or an address without brackets
  uint16_t port = 0;
  std::optional<IpAddress> address;  ///< when the host is one
};
/// From a scheme and a request's authority, "host[:port]". kInvalidArgument.
Result<HttpDestination> parse_destination(std::string_view scheme, std::string_view authority);

/// Which hosts programs may send HTTP requests to. A pattern is
///
///     [http:// | https://] HOST [:PORT | :*]
///
/// HOST is a name (api.example.com), the names below one (*.example.com), any (*), an address
/// (127.0.0.1, [::1]) or a range of addresses (10.0.0.0/8, [fd00::]/8). Without a scheme both are
/// meant; without a port, the scheme's own. Names and * reach public addresses only, whatever they
/// resolve to; others must be allowed by an address or range that contains them. Immutable.
class HostPolicy {
 public:
  /// kInvalidArgument names the pattern that is none.
  static Result<HostPolicy> parse(const std::vector<std::string>& patterns);

  bool empty() const { return patterns_.empty(); }
  /// Whether a request there may be tried at all.
  bool allows(const HttpDestination& destination) const;
  /// Whether it may connect to this address, which its host has or resolved to.
  bool allows_address(const HttpDestination& destination, const IpAddress& address) const;

 private:
  struct Name {
    std::string text;  ///< lower case; "" with `below`: any
    bool below;
  };
  struct Range {
    IpAddress address;
    uint32_t bits;
    bool contains(const IpAddress& one) const;
  };
  struct Pattern {
    std::string scheme;            ///< "": both
    std::optional<uint16_t> port;  ///< none: the scheme's own; 0: any
    std::variant<Name, Range> host;
    bool fits(const HttpDestination& destination) const;
    bool fits_name(const HttpDestination& destination) const;
  };
  static Result<Pattern> parse_pattern(std::string_view text);

  std::vector<Pattern> patterns_;
};

}  // namespace pie::net
