#include "net/host_policy.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/http.h"

namespace pie::net {
namespace {

constexpr size_t kNameBytesMax = 253;  // RFC 1035, section 2.3.4
constexpr size_t kLabelBytesMax = 63;

/// A name of letters, digits, '-' and '_' in labels, with a letter somewhere in the last one: what
/// looks like a number could be read as an address by the resolver ("127.1", "0x7f000001").
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kNameBytesMax) return false;
  size_t label = 0;
  for (const char c : text) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!good || ++label > kLabelBytesMax) return false;
  }
  const std::string_view last = text.substr(text.rfind('.') + 1);
  if (last.empty() || last.starts_with("0x")) return false;
  return std::any_of(last.begin(), last.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || text.empty())
    return std::nullopt;
  return value;
}

struct HostAndPort {
  std::string_view host;  ///< without brackets
  bool bracketed = false;
  std::string_view after;  ///< what follows the host: "", ":PORT", "/BITS:PORT"
};

/// Splits at the end of the host.
std::optional<HostAndPort> split(std::string_view text) {
  if (!text.starts_with('[')) {
    const size_t end = std::min(text.find_first_of(":/"), text.size());
    return HostAndPort{text.substr(0, end), false, text.substr(end)};
  }
  const size_t close = text.find(']');
  if (close == text.npos) return std::nullopt;
  return HostAndPort{text.substr(1, close - 1), true, text.substr(close + 1)};
}

uint16_t port_of(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

Error no_pattern(std::string_view text, const std::string& why) {
  return {ErrorCode::kInvalidArgument,
          "[http_allow] got '" + std::string(text) + "' (" + why +
              "), expected [http://|https://]HOST[:PORT], where HOST is a name, *.NAME, *, an "
              "address or a range like 10.0.0.0/8; IPv6 in brackets, any port as :*"};
}

}  // namespace

Result<HttpDestination> parse_destination(std::string_view scheme, std::string_view authority) {
  const auto wrong = [&] {
    return Error{
        ErrorCode::kInvalidArgument,
        "[authority] got '" + std::string(authority.substr(0, 80)) + "', expected host[:port]"};
  };
  const auto parts = split(authority);
  if (!parts) return wrong();
  HttpDestination made{std::string(scheme), lower_case(parts->host), port_of(scheme),
                       IpAddress::parse(parts->host)};
  const bool is_v6_text = parts->host.find(':') != parts->host.npos;
  if (parts->bracketed != is_v6_text) return wrong();
  if (!made.address && made.host.ends_with('.')) made.host.pop_back();
  if (!made.address && !is_name(made.host)) return wrong();
  if (parts->after.empty()) return made;
  const auto port = number<uint16_t>(parts->after.substr(1));
  if (!parts->after.starts_with(':') || !port || *port == 0) return wrong();
  made.port = *port;
  return made;
}

bool HostPolicy::Range::contains(const IpAddress& one) const {
  return one.is_v4 == address.is_v4 &&
         same_leading_bits(one.bytes.data(), address.bytes.data(), bits);
}

bool HostPolicy::Pattern::fits(const HttpDestination& destination) const {
  if (!scheme.empty() && scheme != destination.scheme) return false;
  return port == 0 || port.value_or(port_of(destination.scheme)) == destination.port;
}

bool HostPolicy::Pattern::fits_name(const HttpDestination& destination) const {
  const auto* name = std::get_if<Name>(&host);
  if (!name || !fits(destination)) return false;
  if (name->below && name->text.empty()) return true;
  if (destination.address) return false;
  if (!name->below) return destination.host == name->text;
  return destination.host.size() > name->text.size() + 1 &&
         destination.host.ends_with("." + name->text);
}

Result<HostPolicy::Pattern> HostPolicy::parse_pattern(std::string_view whole) {
  Pattern made;
  std::string_view text = whole;
  for (const std::string_view scheme : {"http", "https"}) {
    const std::string prefix = std::string(scheme) + "://";
    if (!text.starts_with(prefix)) continue;
    made.scheme = scheme;
    text.remove_prefix(prefix.size());
    break;
  }
  const auto parts = split(text);
  if (!parts) return no_pattern(whole, "a bracket is missing");
  std::string_view after = parts->after;
  if (const auto address = IpAddress::parse(parts->host)) {
    if (parts->bracketed != (parts->host.find(':') != parts->host.npos))
      return no_pattern(whole, "brackets belong to IPv6");
    const uint32_t bits_max = address->is_v4 ? 32 : 128;
    Range range{*address, bits_max};
    if (after.starts_with('/')) {
      const size_t end = std::min(after.find(':'), after.size());
      const auto bits = number<uint32_t>(after.substr(1, end - 1));
      if (!bits || *bits > bits_max) return no_pattern(whole, "not a number of bits");
      if (parts->bracketed && address->is_v4) return no_pattern(whole, "write the IPv4 range");
      range.bits = *bits;
      after.remove_prefix(end);
    }
    made.host = range;
  } else {
    std::string name = lower_case(parts->host);
    const bool below = name == "*" || name.starts_with("*.");
    if (below) name.erase(0, name == "*" ? 1 : 2);
    if (parts->bracketed || !(is_name(name) || (below && parts->host == "*")))
      return no_pattern(whole, "neither a name nor an address");
    made.host = Name{std::move(name), below};
  }
  if (after.empty()) return made;
  made.port = after == ":*" ? std::optional<uint16_t>(0) : number<uint16_t>(after.substr(1));
  if (!after.starts_with(':') || !made.port || (*made.port == 0 && after != ":*"))
    return no_pattern(whole, "not a port");
  return made;
}

Result<HostPolicy> HostPolicy::parse(const std::vector<std::string>& patterns) {
  HostPolicy policy;
  for (const std::string& text : patterns) {
    PIE_TRY_ASSIGN(Pattern pattern, parse_pattern(text));
    policy.patterns_.push_back(std::move(pattern));
  }
  return policy;
}

bool HostPolicy::allows(const HttpDestination& destination) const {
  if (destination.address) return allows_address(destination, *destination.address);
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const Pattern& one) { return one.fits_name(destination); });
}

bool HostPolicy::allows_address(const HttpDestination& destination,
                                const IpAddress& address) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& one) {
    if (const auto* range = std::get_if<Range>(&one.host))
      return one.fits(destination) && range->contains(address);
    return one.fits_name(destination) && is_public(address);
  });
}

}  // namespace pie::net
