#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pie::net {

/// An IPv4 or IPv6 address. An IPv4 address that is mapped into IPv6 (RFC 4291, section 2.5.5.2) is
/// the IPv4 address.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};  ///< in network order; the first four of IPv4
  bool is_v4 = true;

  /// "127.0.0.1", "::1"; nothing else (no names, no brackets, no zones, no other ways to write
  /// IPv4).
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress v4(const std::array<uint8_t, 4>& bytes);
  static IpAddress v6(const std::array<uint8_t, 16>& bytes);
  bool operator==(const IpAddress&) const = default;
};

/// Whether the first `bits` of both are the same.
bool same_leading_bits(const uint8_t* a, const uint8_t* b, uint32_t bits);
/// Whether the address is one of the public internet: no loopback, private, link-local, shared,
/// documentation, multicast or reserved range (RFC 6890 and IANA's special-purpose registries), no
/// transition address that could hide one.
bool is_public(const IpAddress& address);

/// Whether the address is one of this machine alone: 127.0.0.0/8, ::1.
bool is_loopback(const IpAddress& address);

/// "[::1]" without its brackets; other text as it is.
std::string_view without_brackets(std::string_view host);
/// Whether `host`, a name or an address with or without brackets, can only be this machine: a
/// loopback address, localhost, a name below it (RFC 6761, section 6.3).
bool is_loopback_host(std::string_view host);

}  // namespace pie::net
