#include "fuzz.h"
#include "net/host_policy.h"

/// Patterns and authorities: what is taken can't be told apart from what it says, and no name
/// reaches an address that is not public.
void pie::fuzz::fuzz(std::string_view input) {
  const size_t cut = std::min(input.find('\n'), input.size());
  const std::string pattern(input.substr(0, cut));
  const std::string_view authority = input.substr(std::min(cut + 1, input.size()));
  const auto policy = net::HostPolicy::parse({pattern});
  if (!policy.ok()) MUST(policy.error().message.find("[http_allow]") == 0);
  const auto destination = net::parse_destination("http", authority);
  if (!destination.ok()) return;
  MUST(!destination->host.empty() && destination->port != 0);
  MUST(destination->host.find_first_of("/@?#\\ \r\n") == std::string::npos);
  if (!policy.ok() || destination->address) return;
  const auto loopback = *net::IpAddress::parse("127.0.0.1");
  if (policy->allows(*destination)) MUST(!policy->allows_address(*destination, loopback));
}
