#include "net/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/http.h"

namespace pie::net {
namespace {

struct Special {
  const char* address;
  uint32_t bits;
};
/// IPv4 ranges that are not the public internet (IANA IPv4 Special-Purpose Address Registry).
constexpr Special kSpecialV4[] = {
    {"0.0.0.0", 8},      {"10.0.0.0", 8},     {"100.64.0.0", 10}, {"127.0.0.0", 8},
    {"169.254.0.0", 16}, {"172.16.0.0", 12},  {"192.0.0.0", 24},  {"192.0.2.0", 24},
    {"192.88.99.0", 24}, {"192.168.0.0", 16}, {"198.18.0.0", 15}, {"198.51.100.0", 24},
    {"203.0.113.0", 24}, {"224.0.0.0", 4},    {"240.0.0.0", 4},
};
/// Within 2000::/3, which alone is global unicast: protocol assignments and Teredo, documentation,
/// 6to4 (it carries an IPv4 address), documentation again.
constexpr Special kSpecialV6[] = {
    {"2001::", 23}, {"2001:db8::", 32}, {"2002::", 16}, {"3fff::", 20}};

bool in_any(const IpAddress& address, const Special* begin, const Special* end) {
  return std::any_of(begin, end, [&](const Special& one) {
    const auto range = IpAddress::parse(one.address);
    return same_leading_bits(address.bytes.data(), range->bytes.data(), one.bits);
  });
}

}  // namespace

bool same_leading_bits(const uint8_t* a, const uint8_t* b, uint32_t bits) {
  if (std::memcmp(a, b, bits / 8) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
  return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

IpAddress IpAddress::v4(const std::array<uint8_t, 4>& bytes) {
  IpAddress made;
  std::copy(bytes.begin(), bytes.end(), made.bytes.begin());
  return made;
}

IpAddress IpAddress::v6(const std::array<uint8_t, 16>& bytes) {
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin()))
    return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  return {bytes, false};
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != terminated.npos) return std::nullopt;
  std::array<uint8_t, 4> four{};
  if (inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return v4(four);
  std::array<uint8_t, 16> sixteen{};
  if (inet_pton(AF_INET6, terminated.c_str(), sixteen.data()) == 1) return v6(sixteen);
  return std::nullopt;
}

bool is_public(const IpAddress& address) {
  if (address.is_v4) return !in_any(address, std::begin(kSpecialV4), std::end(kSpecialV4));
  if ((address.bytes[0] & 0xe0) != 0x20) return false;
  return !in_any(address, std::begin(kSpecialV6), std::end(kSpecialV6));
}

bool is_loopback(const IpAddress& address) {
  return address == *IpAddress::parse("::1") || (address.is_v4 && address.bytes[0] == 127);
}

std::string_view without_brackets(std::string_view host) {
  const bool has_them = host.starts_with('[') && host.ends_with(']');
  return has_them ? host.substr(1, host.size() - 2) : host;
}

bool is_loopback_host(std::string_view host) {
  if (const auto address = IpAddress::parse(without_brackets(host))) return is_loopback(*address);
  std::string name = lower_case(host);
  if (name.ends_with('.')) name.pop_back();
  return name == "localhost" || name.ends_with(".localhost");
}

}  // namespace pie::net
